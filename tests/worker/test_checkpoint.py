"""Checkpoints between devices, of other models, and of states that cannot be kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.journals import started
from torch import nn

from benchbench.errors import CheckpointError, SpecError
from benchbench.records.events import Times
from benchbench.worker import checkpoint
from benchbench.worker.accelerate import Acceleration
from benchbench.worker.checkpoint import Checkpoint, UnreadableStateError
from benchbench.worker.schedule import Schedule
from benchbench.worker.train import Learner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = torch.device("cpu")


def learner(*, channels: int = 4, memory_format: torch.memory_format = torch.contiguous_format) -> Learner:
    """Return a convolution after two steps of Adam."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Flatten(), nn.Linear(channels * 36, 2))
    model.to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    made = Learner(model, optimizer, Schedule(scheduler), Acceleration(CPU, "fp32"))
    step(made, 2)
    return made


def step(learner: Learner, number: int) -> None:
    for _ in range(number):
        learner.optimizer.zero_grad()
        learner.model(torch.ones(2, 3, 8, 8)).square().sum().backward()
        learner.optimizer.step()


def save(path: Path, learner: Learner) -> None:
    sizes = checkpoint.group_sizes_of(learner.optimizer)
    checkpoint.save(path, learner, (), started=started(), times=Times(), group_sizes=sizes)


def load(path: Path) -> Checkpoint:
    return checkpoint.load(path, spec_id=started().spec.id, data_digest=started().data.digest)


def test_states_take_the_order_in_memory_of_their_parameters(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    before = learner()
    save(path, before)
    after = learner(memory_format=torch.channels_last)
    load(path).restore(after)
    weight = after.model[0].weight  # type: ignore[index]
    for name in ("exp_avg", "exp_avg_sq"):
        state = after.optimizer.state[weight][name]
        assert state.stride() == weight.stride() != before.model[0].weight.stride()  # type: ignore[index]
        assert torch.equal(state, before.optimizer.state[before.model[0].weight][name])  # type: ignore[index]
    for each in (before, after):
        step(each, 3)
    torch.testing.assert_close(after.model[0].weight, before.model[0].weight)  # type: ignore[index]


class InHalf(torch.optim.SGD):
    """Keeps a state in another type than its weights."""

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            self.state[weight]["seen"] = weight.detach() > 0
            self.state[weight]["half"] = weight.detach().bfloat16()
            self.state[weight]["history"] = [{"rows": torch.tensor([1, 2])}, weight.detach().double()]


def trained_and_restored(optimizer: type[torch.optim.SGD], path: Path, *, steps: int) -> tuple[Learner, Learner]:
    """Return a learner after so many steps, and another one that was restored from its checkpoint."""
    bases = learner(), learner()
    before, after = (replace(base, optimizer=optimizer(base.model.parameters(), lr=0.01)) for base in bases)
    step(before, steps)
    save(path, before)
    load(path).restore(after)
    return before, after


def test_states_keep_their_types(tmp_path: Path) -> None:
    before, after = trained_and_restored(InHalf, tmp_path / "checkpoint.pt", steps=1)
    for ours, theirs in zip(after.optimizer.state.values(), before.optimizer.state.values(), strict=True):
        assert (ours["seen"].dtype, ours["half"].dtype) == (torch.bool, torch.bfloat16)
        assert all(torch.equal(ours[name], theirs[name]) for name in ("seen", "half"))
        (rows, precise), (_, expected) = ours["history"], theirs["history"]
        assert rows["rows"].dtype == torch.int64
        assert precise.dtype == torch.float64
        assert torch.equal(precise, expected)


class CountsSteps(torch.optim.SGD):
    """Keeps a state of all weights beside those of each."""

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        super().step(closure)
        seen = self.state["all"].setdefault("seen", torch.zeros(3))
        seen += 1


def test_an_optimizer_may_keep_a_state_under_a_name(tmp_path: Path) -> None:
    _, after = trained_and_restored(CountsSteps, tmp_path / "checkpoint.pt", steps=2)
    assert after.optimizer.state["all"]["seen"].tolist() == [2, 2, 2]


class TwoOptimizers(torch.optim.SGD):
    """Keeps the states of two optimizers in a form of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), lr=0.01)
        first, *others = model.parameters()
        self.parts = {"first": torch.optim.Adam([first], lr=0.01), "others": torch.optim.Adam(others, lr=0.01)}

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])


def test_an_optimizer_may_keep_its_states_in_a_form_of_its_own(tmp_path: Path) -> None:
    def made() -> Learner:
        base = learner()
        return replace(base, optimizer=TwoOptimizers(base.model))

    before, after = made(), made()
    step(before, 2)
    save(tmp_path / "checkpoint.pt", before)
    load(tmp_path / "checkpoint.pt").restore(after)
    for each in (before, after):
        step(each, 2)
    assert torch.equal(after.model[0].weight, before.model[0].weight)  # type: ignore[index]


def test_a_checkpoint_of_another_model_is_refused_in_one_line_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, learner())
    wider = learner(channels=5)
    weights = {name: value.clone() for name, value in wider.model.state_dict().items()}
    with pytest.raises(SpecError, match=r"0\.weight is 4x3x3x3 in it and 5x3x3x3 in the model$") as refused:
        load(path).restore(wider)
    assert "--fresh" in refused.value.hint
    assert all(torch.equal(value, weights[name]) for name, value in wider.model.state_dict().items())


def test_a_state_that_cannot_be_read_back_is_found_when_it_is_written_and_the_checkpoint_before_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint.pt"
    made = learner()
    save(path, made)
    kept = path.read_bytes()
    made.optimizer.param_groups[0]["lr"] = np.float32(0.01)
    with pytest.raises(UnreadableStateError, match=r"its state holds numpy\S*scalar") as refused:
        save(path, made)
    assert "Python numbers" in refused.value.hint
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_that_cannot_be_saved_is_told_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    made = learner()
    save(path, made)
    kept = path.read_bytes()
    made.optimizer.param_groups[0]["rule"] = lambda: 0.1
    with pytest.raises(UnreadableStateError, match="its state holds what cannot be saved"):
        save(path, made)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_a_scheduler_whose_state_cannot_be_asked_for_is_told_as_well(tmp_path: Path) -> None:
    made = learner()
    made = replace(made, schedule=Schedule(torch.optim.lr_scheduler.LambdaLR(made.optimizer, [1.0, 0.5].__getitem__)))
    with pytest.raises(UnreadableStateError, match="its state holds what cannot be saved"):
        save(tmp_path / "checkpoint.pt", made)
    assert list(tmp_path.iterdir()) == []


def warm_up_and_cosine(epoch: int) -> float:
    return (epoch + 1) / 3 if epoch < 3 else 0.5 * (1 + np.cos(np.pi * epoch / 10))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_and_cosine),
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, np.linspace(2, 8, 3).astype(int)),
    ],
    ids=["numpy's cosine", "numpy's milestones"],
)
def test_a_scheduler_that_computes_with_numpy_goes_on_from_a_checkpoint_as_if_without(
    make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    before, after = (replace(base, schedule=Schedule(make(base.optimizer))) for base in (learner(), learner()))
    for _ in range(5):
        before.schedule.scheduler.step()
    save(path, before)
    load(path).restore(after)
    for _ in range(4):
        assert after.learning_rate == before.learning_rate
        for each in (before, after):
            each.schedule.scheduler.step()


class KeepsMean(nn.Linear):
    """Keeps a number of numpy's in its state."""

    mean: object = np.float64(0.25)

    def get_extra_state(self) -> object:
        return {"mean": self.mean}

    def set_extra_state(self, state: Any) -> None:
        self.mean = state["mean"]


def test_a_model_may_keep_a_number_of_numpy_in_its_state(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    before, after = (replace(learner(), model=KeepsMean(2, 2)) for _ in range(2))
    save(path, before)
    after.model.mean = None  # type: ignore[assignment]
    states = load(path).states["model"]
    assert list(states) == list(before.model.state_dict())
    assert states._metadata == before.model.state_dict()._metadata  # type: ignore[attr-defined]
    load(path).restore_model(after.model)
    assert after.model.mean == 0.25


def test_a_checkpoint_with_what_torch_does_not_read_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, learner())
    torch.save(torch.load(path, weights_only=True) | {"trained": np.float32(1)}, path)
    with pytest.raises(CheckpointError, match=r"cannot be read: it holds numpy[\w.]*scalar$"):
        load(path)


def test_a_damaged_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, learner())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="is damaged"):
        load(path)


def test_a_checkpoint_from_a_gpu_is_restored_on_the_cpu(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, learner())
    content = torch.load(path, weights_only=True)
    content["random_states"] |= {"device_type": "cuda", "device": torch.zeros(16, dtype=torch.uint8)}
    torch.save(content, path)
    torch.rand(7)
    load(path).restore(learner())
    assert torch.equal(torch.get_rng_state(), content["random_states"]["torch"])


def test_a_trial_on_the_cpu_leaves_a_gpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    made = learner()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", refuse("CUDA was initialised"))
    save(path, made)
    load(path).restore(made)


def refuse(reason: str) -> Callable[[], None]:
    def raise_it() -> None:
        raise AssertionError(reason)

    return raise_it


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_generator_of_a_gpu_is_restored(tmp_path: Path) -> None:
    device = torch.device("cuda:0")
    torch.cuda.manual_seed(7)
    path = tmp_path / "checkpoint.pt"
    made = learner()
    on_gpu = Learner(made.model.to(device), made.optimizer, made.schedule, Acceleration(device, "fp32"))
    save(path, on_gpu)
    expected = torch.rand(3, device=device)
    load(path).restore(on_gpu)
    assert torch.equal(torch.rand(3, device=device), expected)
