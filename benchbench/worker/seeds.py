"""All random generators that a trial uses, seeded or left as they were, and buffers left as they were."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
