"""States as a checkpoint keeps them: saved, loaded and compared."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from benchbench.errors import first_line
from benchbench.testing.checking import BrokenPromiseError


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state as a checkpoint gives it back: nothing but tensors, numbers, text and containers."""
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        loaded: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as error:  # which depends on what the plugin keeps
        raise BrokenPromiseError(
            f"its state cannot be loaded from a checkpoint: {first_line(error)}",
            fix="keep only tensors, numbers, text, lists and dicts in a state",
        ) from error
    return loaded


def are_equal(one: Any, other: Any) -> bool:
    """Tell whether two values of a state are the same: tensors, numbers, text, or containers of these."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(are_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return type(one) is type(other) and bool(one == other)
