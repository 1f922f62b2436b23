"""Saved states, as a checkpoint keeps them."""

from __future__ import annotations

import io
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
