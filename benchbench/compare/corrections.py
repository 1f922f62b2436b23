"""Corrections for the number of comparisons: the chance of any false verdict among them stays at the level."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in their order (Holm, Scandinavian J. of Statistics 6, 1979)."""
    if len(p_values) < 2:  # noqa: PLR2004 - nothing to correct for
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """Return the p values, each multiplied by their number."""
    return [min(1.0, p * len(p_values)) for p in p_values]
