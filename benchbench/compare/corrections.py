"""Corrections for the number of comparisons: the chance of any false verdict among them stays at the level."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in their order (Holm, Scandinavian J. of Statistics 6, 1979)."""
    # statsmodels collects all garbage at each call, which takes 0.1 s with all of torch loaded.
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[position] * (len(p_values) - rank)))
        corrected[position] = largest
    return corrected


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Return the p values, each multiplied by their number."""
    return [min(1.0, p * len(p_values)) for p in p_values]
