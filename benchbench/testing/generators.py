"""The global random generators: their states, and whether a plugin seeds them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchbench.testing.checking import require
from benchbench.worker.seeds import seed_everything

if TYPE_CHECKING:
    from collections.abc import Callable


def generator_states() -> dict[str, object]:
    """Return the states of the global generators, by the module that each belongs to."""
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - a plugin may seed the global generator
    return {"random": random.getstate(), "numpy": repr(numpy), "torch": torch.get_rng_state().numpy().tobytes()}


def require_unseeded(build: Callable[[int], object]) -> None:
    """Raise a broken promise if generators have the same state after ``build(seed)``, whatever the seed was."""
    first, other = (_states_after(build, seed) for seed in (0, 1))
    seeded = [name for name, state in first.items() if state == other[name]]
    problem = f"build() seeds the global generator of {', '.join(seeded)}: trials of all seeds get the same numbers"
    fix = "a trial seeds them before build(); for numbers of your own, use a torch.Generator or torch.random.fork_rng()"
    require(not seeded, problem, fix=fix)


def _states_after(build: Callable[[int], object], seed: int) -> dict[str, object]:
    seed_everything(seed)
    build(seed)
    return generator_states()
