"""How many seeds would show a difference: the power of the test that decides about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from benchbench.config.design import MIN_SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchbench.compare.contrasts import Contrast

POWER = 0.8
MAX_SEEDS = 100
ADVICE_CONFIDENCE = 0.8
"""Of the interval around an advised number of seeds."""


@dataclass(frozen=True)
class Advice:
    """How many seeds each would show a difference of the observed size in four cases of five.

    The size is taken as it is, and ``low`` to ``high`` is an interval of 80 % since its noise is only estimated. None
    stands for more than :data:`MAX_SEEDS`.
    """

    seeds: int | None
    low: int | None
    high: int | None

    def __str__(self) -> str:
        if self.low is None:
            return f"over {MAX_SEEDS} seeds"
        high = f"over {MAX_SEEDS}" if self.high is None else f"{self.high}"
        likely = f"over {MAX_SEEDS} seeds, {self.low} at least," if self.seeds is None else ""
        ends = f" ({self.low} to {high})" if self.low != self.high else ""
        return likely or f"about {self.seeds} seeds{ends}"


def advise(contrast: Contrast, *, level: float) -> Advice | None:
    """Return how many seeds a test at this level needs for the difference; None if the noise was not measured.

    The noise of ``n`` trials is ``std * sqrt(df / chi2)`` for a quantile of chi-squared with as many degrees of
    freedom as the test has.
    """
    if contrast.deviations is None or contrast.degrees_of_freedom is None or contrast.difference == 0:
        return None
    tails = (1 + ADVICE_CONFIDENCE) / 2, (1 - ADVICE_CONFIDENCE) / 2
    quantiles = stats.chi2.ppf(tails, contrast.degrees_of_freedom)
    factors = [1.0, *(math.sqrt(contrast.degrees_of_freedom / quantile) for quantile in quantiles)]
    return Advice(
        *(
            seeds_needed(contrast.difference, [factor * std for std in contrast.deviations], level=level)
            for factor in factors
        )
    )


def seeds_needed(difference: float, deviations: Sequence[float], *, level: float) -> int | None:
    """Return the smallest number of seeds with :data:`POWER`; None if it is more than :data:`MAX_SEEDS`."""
    counts = np.arange(MIN_SEEDS, MAX_SEEDS + 1)
    enough = np.flatnonzero(power(counts, difference, deviations, level=level) >= POWER)
    return int(counts[enough[0]]) if len(enough) else None


def power(
    counts: NDArray[np.int_], difference: float, deviations: Sequence[float], *, level: float
) -> NDArray[np.float64]:
    """Return how often t tests of ``counts`` seeds each show a difference at this level.

    ``deviations`` is the standard deviation of the differences of pairs, or those of both sides for Welch's test. The
    noncentral t distribution is exact for pairs; Welch's degrees of freedom are those of the true deviations. Cohen,
    "Statistical Power Analysis", 1988, chapter 2.
    """
    variances = np.square(deviations)
    freedom = (counts - 1) * variances.sum() ** 2 / np.square(variances).sum()
    shift = abs(difference) / np.sqrt(variances.sum() / counts)
    bound = stats.t.isf(level / 2, freedom)
    # scipy returns NaN for shifts so large that no difference is missed.
    missed = np.nan_to_num(special.nctdtr(freedom, shift, bound) - special.nctdtr(freedom, shift, -bound))
    return np.asarray(1 - missed, dtype=np.float64)
