"""Student's t over trials, by scipy and statsmodels: of a mean, of a difference or ratio, and of one new trial.

What is decided here is what to ask them: pairs or groups, values or logarithms, and what has no answer, since it does
not vary.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Values = dict[str, float]
"""A metric's values by what trials are paired by, such as their seeds."""

SAME = 1e-12
"""Values that differ by less than this fraction of their size only differ by rounding."""

POWER = 0.8
MAX_SEEDS = 100
MAX_RESAMPLES = 9_999


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(fraction: float, total: int, *, confidence: float) -> Interval:
    """Return Wilson's interval of a fraction, 0..1, of ``total`` things. The fraction itself always lies in it.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22, 1927.
    """
    ends = stats.binomtest(round(fraction * total), total).proportion_ci(confidence, method="wilson")
    return Interval(min(float(ends.low), fraction), max(float(ends.high), fraction))


@dataclass(frozen=True)
class Summary:
    """The values of one configuration: how many, their mean, standard deviation and the mean's interval.

    Without values there is no mean, with one value no deviation, and without variation no interval.
    """

    n: int
    mean: float | None
    std: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Contrast:
    """One configuration against another.

    ``estimate`` is the difference of the means, or the ratio of the geometric means. ``p_value`` is that of the t
    test whose interval this is, and ``permutation_p`` that of a permutation test, if there are enough trials for one.
    Without spread there is neither interval nor p value. ``effect_size`` is Cohen's d: the difference in standard
    deviations, of the differences if paired, and of both groups together if not.
    """

    estimate: float
    is_ratio: bool
    is_paired: bool
    n: tuple[int, int]
    interval: Interval | None = None
    p_value: float | None = None
    permutation_p: float | None = None
    effect_size: float = 0.0

    @property
    def test_p(self) -> float | None:
        """Return the larger p value: a verdict needs both tests."""
        return self.p_value if self.permutation_p is None else max(self.p_value or 0.0, self.permutation_p)


def summarise(values: Sequence[float], *, confidence: float) -> Summary:
    """Return the summary of independent values."""
    n = len(values)
    mean = float(np.mean(values)) if n else None
    std = float(np.std(values, ddof=1)) if n > 1 else None
    if mean is None or std is None or is_constant(values):
        return Summary(n, mean, std, None)
    low, high = stats.t.interval(confidence, n - 1, loc=mean, scale=std / math.sqrt(n))
    return Summary(n, mean, std, Interval(float(low), float(high)))


def prediction_interval(values: Sequence[float], *, confidence: float) -> Interval | None:
    """Return the interval that one new value lies in; None for a single value or values that do not vary.

    Hahn and Meeker, "Statistical Intervals", 1991, section 4.7.
    """
    summary = summarise(values, confidence=confidence)
    if summary.interval is None or summary.mean is None or summary.std is None:
        return None
    scale = summary.std * math.sqrt(1 + 1 / summary.n)
    low, high = stats.t.interval(confidence, summary.n - 1, loc=summary.mean, scale=scale)
    return Interval(float(low), float(high))


def contrast(ours: Values, baseline: Values, *, as_ratio: bool, confidence: float) -> Contrast:
    """Return the difference or ratio of two configurations that have at least one value each.

    The test is paired if both have values under the same keys, and Welch's if not. A ratio is a difference of
    logarithms, so that A to B is the inverse of B to A, interval included; its values must be positive.
    """
    is_paired = ours.keys() == baseline.keys()
    a, b = _arrays(ours, baseline, as_ratio=as_ratio)
    difference = float(a.mean() - b.mean())
    estimate, n = math.exp(difference) if as_ratio else difference, (len(a), len(b))
    if not (_differs_between_pairs(a, b) if is_paired else _varies(a, b)):
        return Contrast(estimate, as_ratio, is_paired, n)
    with warnings.catch_warnings():
        # One side of Welch's test may be constant. scipy warns of its variance, which is zero and correct.
        warnings.filterwarnings("ignore", message="Precision loss occurred in moment calculation")
        test = stats.ttest_rel(a, b) if is_paired else stats.ttest_ind(a, b, equal_var=False)
    low, high = (float(end) for end in test.confidence_interval(confidence))
    variance = np.var(a - b, ddof=1) if is_paired else (np.var(a, ddof=1) + np.var(b, ddof=1)) / 2
    return Contrast(
        estimate,
        as_ratio,
        is_paired,
        n,
        interval=Interval(math.exp(low), math.exp(high)) if as_ratio else Interval(low, high),
        p_value=float(test.pvalue),
        effect_size=abs(difference) / math.sqrt(variance),
    )


def permutation_p(ours: Values, baseline: Values, *, as_ratio: bool, level: float) -> float | None:
    """Return the p value of an exact or random permutation test, or None if it could not reach ``level``.

    Signs are flipped within pairs, or trials change sides. It supposes no normal distribution.
    """
    is_paired = ours.keys() == baseline.keys()
    a, b = _arrays(ours, baseline, as_ratio=as_ratio)
    num_arrangements = 2 ** len(a) if is_paired else math.comb(len(a) + len(b), len(a))
    if 2 / min(num_arrangements, MAX_RESAMPLES + 1) > level:
        return None
    result = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        permutation_type="samples" if is_paired else "independent",
        vectorized=True,
        n_resamples=MAX_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in their order (Holm, Scandinavian J. of Statistics 6, 1979)."""
    if len(p_values) < 2:  # noqa: PLR2004 - nothing to correct for
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def seeds_needed(difference: Contrast, *, level: float) -> int | None:
    """Return with how many seeds each a t test would show a difference of this size in four cases of five.

    None if it takes more than :data:`MAX_SEEDS`. Cohen, "Statistical Power Analysis", 1988, chapter 2.
    """
    from statsmodels.stats.power import TTestIndPower, TTestPower

    counts = np.arange(2, MAX_SEEDS + 1)
    test = TTestPower() if difference.is_paired else TTestIndPower()
    enough = np.flatnonzero(test.power(difference.effect_size, counts, level) >= POWER)
    return int(counts[enough[0]]) if len(enough) else None


def is_constant(values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Tell whether the values are all the same but for rounding."""
    return bool(np.ptp(values) <= SAME * np.max(np.abs(values)))


def _arrays(
    ours: Mapping[str, float], baseline: Mapping[str, float], *, as_ratio: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.array([ours[key] for key in sorted(ours)], dtype=np.float64)
    b = np.array([baseline[key] for key in sorted(baseline)], dtype=np.float64)
    return (np.log(a), np.log(b)) if as_ratio else (a, b)


def _differs_between_pairs(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    # Measured against the values: 0.75 - 0.73 and 0.76 - 0.74 differ in the last digit.
    return len(a) > 1 and bool(np.ptp(a - b) > SAME * max(np.abs(a).max(), np.abs(b).max()))


def _varies(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return min(len(a), len(b)) > 1 and not (is_constant(a) and is_constant(b))
