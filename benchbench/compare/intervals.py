"""Intervals of means, of fractions and of one new value. None reaches beyond what is possible.

An accuracy is a fraction from 0 to 1, and a time is above 0. Student's interval of a mean is therefore computed on an
unbounded scale, to which the delta method converts the standard error, and is then converted back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special, stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAME = 1e-12
"""Values that differ by less than this fraction of their size only differ by rounding."""

Scale = Literal["plain", "fraction", "positive", "ratio"]
"""What values may be: any number, 0..1, above 0, or above 0 and compared by their ratios."""

METHOD_OF_MEANS = "Student's t"
"""How the intervals of means are made."""


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


_WIDEST = 40.0
"""Of the logarithm of a ratio: more than eight orders of magnitude to either side."""


def exponential(low: float, high: float) -> Interval | None:
    """Return the interval of a ratio from that of its logarithm; None if it is so wide that it says nothing.

    At a confidence of 99.99 %, the interval of two values may be wider than there are numbers for.
    """
    return Interval(math.exp(low), math.exp(high)) if high - low < _WIDEST else None


@dataclass(frozen=True)
class Summary:
    """The values of one configuration: how many, their mean, standard deviation and the mean's interval.

    The mean is geometric for values that are compared by their ratios, so that the ratio of two means is the ratio that
    is tested. Without values there is no mean, with one value no deviation, and without variation no interval.
    """

    n: int
    mean: float | None
    std: float | None
    interval: Interval | None


def summarize(values: Sequence[float], *, confidence: float, scale: Scale = "plain") -> Summary:
    """Return the summary of independent values."""
    n = len(values)
    mean = _mean(values, scale) if n else None
    std = float(np.std(values, ddof=1)) if n > 1 else None
    if mean is None or std is None or is_constant(values):
        return Summary(n, mean, std, None)
    return Summary(n, mean, std, _interval(values, 1 / n, confidence=confidence, scale=scale))


def prediction_interval(values: Sequence[float], *, confidence: float, scale: Scale = "plain") -> Interval | None:
    """Return the interval that one new value lies in; None for a single value or values that do not vary.

    Hahn and Meeker, "Statistical Intervals", 1991, section 4.7.
    """
    n = len(values)
    if n < 2 or is_constant(values):  # noqa: PLR2004 - no spread of one
        return None
    return _interval(values, 1 + 1 / n, confidence=confidence, scale=scale)


@lru_cache
def wilson(fraction: float, total: int, *, confidence: float) -> Interval:
    """Return Wilson's interval of a fraction, 0..1, of ``total`` things. The fraction itself always lies in it.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22, 1927.
    """
    ends = stats.binomtest(round(fraction * total), total).proportion_ci(confidence, method="wilson")
    return Interval(min(float(ends.low), fraction), max(float(ends.high), fraction))


def is_constant(values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Tell whether the values are all the same but for rounding."""
    return bool(np.ptp(values) <= SAME * np.max(np.abs(values)))


def _mean(values: Sequence[float], scale: Scale) -> float:
    if scale == "ratio" and min(values) > 0:
        return math.exp(np.mean(np.log(values)))
    return float(np.mean(values))


def _interval(values: Sequence[float], factor: float, *, confidence: float, scale: Scale) -> Interval | None:
    """Return Student's interval, whose standard error is the root of ``factor`` times the deviation of the values."""
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * math.sqrt(factor)
    if scale == "ratio" and min(values) > 0:
        logs = np.log(values)
        middle, half = float(np.mean(logs)), quantile * float(np.std(logs, ddof=1))
        return exponential(middle - half, middle + half)
    mean, half = float(np.mean(values)), quantile * float(np.std(values, ddof=1))
    if scale == "fraction" and 0 < mean < 1:
        logit, half = float(special.logit(mean)), half / (mean * (1 - mean))
        return Interval(float(special.expit(logit - half)), float(special.expit(logit + half)))
    if scale == "positive" and min(values) > 0:
        return exponential(math.log(mean) - half / mean, math.log(mean) + half / mean)
    return Interval(mean - half, mean + half)
