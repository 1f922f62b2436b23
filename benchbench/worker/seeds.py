"""Seeds, saves and restores the random generators of a trial; keeps them and a model's buffers as they were."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


def seed_everything(seed: int) -> None:
    """Seed torch on all devices, and the global generators of numpy and Python."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a plugin may use the global generator


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put all buffers of a model back afterwards, such as running means."""
    before = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if not is_lazy(buffer)
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, value in before:
                setattr(module, name, buffer)  # a forward pass may have set another
                is_plain = buffer.layout is torch.strided and not buffer.is_meta
                if not (is_plain and torch.equal(buffer, value)):
                    buffer.copy_(value)


@contextmanager
def random_states_kept(device: torch.device) -> Iterator[None]:
    """Put all global random generators back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as above
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as above
        if mps is not None:
            torch.mps.set_rng_state(mps)


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states of all global random generators, as tensors and plain values."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - as above
    return {
        "torch": torch.get_rng_state(),
        "device_type": device.type,
        "device": _device_random_state(device),
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *map(float, rest)],
        "python": json.dumps(random.getstate()),
    }


def _device_random_state(device: torch.device) -> torch.Tensor | None:
    """Return the state of the device's own generator, if it has one. A trial on the CPU never asks for a GPU's."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Restore all global random generators, on whichever device the trial is now."""
    torch.set_rng_state(states["torch"])
    # Generators of different kinds of devices have nothing in common; those of two GPUs have.
    if device.type == states["device_type"] == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    if device.type == states["device_type"] == "mps":
        torch.mps.set_rng_state(states["device"])
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), cached))  # noqa: NPY002 - as above
    version, internal, gauss = json.loads(states["python"])
    random.setstate((version, tuple(internal), gauss))
