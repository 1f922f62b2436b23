"""Random generators, saved on one device and restored on another."""

import pytest
import torch

from benchbench.worker.seeds import random_states, restore_random_states


def test_the_generator_of_one_gpu_is_restored_on_another_and_that_of_mps_on_mps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restored: list[tuple[str, object]] = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((str(device), state)))
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: restored.append(("mps", state)))
    states = random_states(torch.device("cpu"))
    state = torch.ones(16, dtype=torch.uint8)
    for kind, device in (("cuda", "cuda:0"), ("mps", "mps"), ("mps", "cuda:0"), ("cuda", "cpu")):
        restore_random_states(states | {"device_type": kind, "device": state}, torch.device(device))
    assert restored == [("cuda:0", state), ("mps", state)]
