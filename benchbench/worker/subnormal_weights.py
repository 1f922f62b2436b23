"""Weights that vanish: a processor takes many times as long for the subnormal numbers in their products.

A GPU does not. Weight decay under Adam does this to a network whose gradients have died.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

MIN_SLOWDOWN = 2.0
"""How many times as long as the fastest an epoch takes before its weights are looked at."""

MIN_FRACTION = 0.05


def slow_epoch_note(epoch: int, seconds: float, fastest_seconds: float, weights: Iterable[Tensor]) -> str:
    """Return why an epoch took so much longer than the fastest, if vanishing weights are the reason; else ``""``."""
    if seconds < MIN_SLOWDOWN * fastest_seconds:
        return ""
    fraction = subnormal_fraction(weights)
    if fraction < MIN_FRACTION:
        return ""
    return (
        f"epoch {epoch} took {seconds / fastest_seconds:.1f} times as long as the fastest: {fraction:.0%} of the"
        " weights are so small that their products are subnormal numbers, which are slow on processors"
    )


@torch.no_grad()
def subnormal_fraction(weights: Iterable[Tensor]) -> float:
    """Return the fraction of numbers whose product with another such number is subnormal or zero, zeros left out."""
    num_small = num_all = 0
    for weight in weights:
        if weight.is_floating_point() and weight.layout is torch.strided:
            sizes = weight.abs()
            num_small += int(((sizes > 0) & (sizes < math.sqrt(torch.finfo(weight.dtype).tiny))).sum())
            num_all += weight.numel()
    return num_small / num_all if num_all else 0.0
