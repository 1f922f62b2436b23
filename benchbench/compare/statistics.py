"""Student's t over trials: the interval of a mean, of a difference or ratio, and of one new trial.

Formulas: Student, "The probable error of a mean", Biometrika 6, 1908; Welch, "The generalization of Student's
problem", Biometrika 34, 1947; Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
Journal of Statistics 6, 1979. scipy and statsmodels have them too, and the tests hold these to them; here, values
that do not vary give no warning, and a table of a thousand comparisons takes no minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Values = dict[str, float]
"""A metric's values by what trials are paired by, such as their seeds."""

SAME = 1e-12
"""Values that differ by less than this share of their size differ by rounding alone."""

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


@dataclass(frozen=True)
class Summary:
    """The values of one configuration: how many, their mean, standard deviation and the mean's interval.

    There is no mean without values, no deviation of one, and no interval where the values do not vary.
    """

    n: int
    mean: float | None
    std: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Contrast:
    """One configuration against another.

    ``estimate`` is the difference of the means, or the ratio of the geometric means. ``p_value`` is that of the t
    test whose interval this is, ``permutation_p`` that of a permutation test where there are enough trials for one.
    Without spread there is neither interval nor p value. ``effect_size`` is the difference in standard deviations
    of a pair of trials, and ``freedom`` the degrees of freedom that each pair after the first adds.
    """

    estimate: float
    is_ratio: bool
    is_paired: bool
    n: tuple[int, int]
    interval: Interval | None = None
    p_value: float | None = None
    permutation_p: float | None = None
    effect_size: float = 0.0
    freedom: float = 1.0

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
    half = half_width(std / math.sqrt(n), n - 1, confidence)
    return Summary(n, mean, std, Interval(mean - half, mean + half))


def prediction_interval(values: Sequence[float], *, confidence: float) -> Interval | None:
    """Return the interval that one new value lies in; None for a single value or values that do not vary.

    Hahn and Meeker, "Statistical Intervals", 1991, section 4.7.
    """
    summary = summarise(values, confidence=confidence)
    if summary.interval is None or summary.mean is None or summary.std is None:
        return None
    half = half_width(summary.std * math.sqrt(1 + 1 / summary.n), summary.n - 1, confidence)
    return Interval(summary.mean - half, summary.mean + half)


def contrast(ours: Values, baseline: Values, *, as_ratio: bool, confidence: float) -> Contrast:
    """Return the difference or ratio of two configurations that have at least one value each.

    Paired where both have values under the same keys, Welch's test where not. A ratio is a difference of
    logarithms, so that A to B is the inverse of B to A, interval included; its values must be positive.
    """
    is_paired = ours.keys() == baseline.keys()
    a, b = _arrays(ours, baseline, as_ratio=as_ratio)
    difference = float(a.mean() - b.mean())
    estimate, n = math.exp(difference) if as_ratio else difference, (len(a), len(b))
    spread = _paired_spread(a, b) if is_paired else _welch_spread(a, b)
    if spread is None:
        return Contrast(estimate, as_ratio, is_paired, n)
    half = half_width(spread.standard_error, spread.degrees, confidence)
    low, high = difference - half, difference + half
    return Contrast(
        estimate,
        as_ratio,
        is_paired,
        n,
        interval=Interval(math.exp(low), math.exp(high)) if as_ratio else Interval(low, high),
        p_value=float(2 * special.stdtr(spread.degrees, -abs(difference) / spread.standard_error)),
        effect_size=abs(difference) / spread.of_a_pair,
        freedom=spread.freedom,
    )


def permutation_p(ours: Values, baseline: Values, *, as_ratio: bool, level: float) -> float | None:
    """Return the p value of an exact or random permutation test, or None where it could not reach ``level``.

    Signs are flipped within pairs, or trials change sides. It supposes no normal distribution.
    """
    is_paired = ours.keys() == baseline.keys()
    a, b = _arrays(ours, baseline, as_ratio=as_ratio)
    num_arrangements = 2 ** len(a) if is_paired else math.comb(len(a) + len(b), len(a))
    if 2 / min(num_arrangements, MAX_RESAMPLES + 1) > level:
        return None
    from scipy import stats  # noqa: PLC0415 - half a second, for those with many seeds

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
    """Return the p values corrected for their number, in their order."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]


def seeds_needed(found: Contrast, *, level: float) -> int | None:
    """Return with how many seeds each a t test would show a difference of this size in four cases of five.

    None where it takes more than :data:`MAX_SEEDS`. Cohen, "Statistical Power Analysis", 1988, chapter 2.
    """
    counts = np.arange(2, MAX_SEEDS + 1)
    degrees, center = found.freedom * (counts - 1), found.effect_size * np.sqrt(counts)
    critical = special.stdtrit(degrees, 1 - level / 2)
    power = 1 - special.nctdtr(degrees, center, critical) + special.nctdtr(degrees, center, -critical)
    enough = np.flatnonzero(power >= POWER)
    return int(counts[enough[0]]) if len(enough) else None


def half_width(standard_error: float, degrees: float, confidence: float) -> float:
    """Return half the width of the interval of Student's t."""
    return float(special.stdtrit(degrees, (1 + confidence) / 2)) * standard_error


def is_constant(values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Tell whether the values are all the same but for rounding."""
    return bool(np.ptp(values) <= SAME * np.max(np.abs(values)))


@dataclass(frozen=True)
class _Spread:
    standard_error: float
    degrees: float
    of_a_pair: float
    freedom: float


def _arrays(
    ours: Mapping[str, float], baseline: Mapping[str, float], *, as_ratio: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.array([ours[key] for key in sorted(ours)], dtype=np.float64)
    b = np.array([baseline[key] for key in sorted(baseline)], dtype=np.float64)
    return (np.log(a), np.log(b)) if as_ratio else (a, b)


def _paired_spread(a: NDArray[np.float64], b: NDArray[np.float64]) -> _Spread | None:
    n, differences = len(a), a - b
    # Measured against the values: 0.75 - 0.73 and 0.76 - 0.74 differ in the last digit.
    if n < 2 or np.ptp(differences) <= SAME * max(np.abs(a).max(), np.abs(b).max()):  # noqa: PLR2004 - no spread of one
        return None
    std = float(np.std(differences, ddof=1))
    return _Spread(std / math.sqrt(n), n - 1, std, 1.0)


def _welch_spread(a: NDArray[np.float64], b: NDArray[np.float64]) -> _Spread | None:
    if min(len(a), len(b)) < 2 or (is_constant(a) and is_constant(b)):  # noqa: PLR2004 - no spread of one
        return None
    variances = float(np.var(a, ddof=1)), float(np.var(b, ddof=1))
    shares = variances[0] / len(a), variances[1] / len(b)
    degrees = sum(shares) ** 2 / (shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1))
    freedom = sum(variances) ** 2 / (variances[0] ** 2 + variances[1] ** 2)
    return _Spread(math.sqrt(sum(shares)), degrees, math.sqrt(sum(variances)), freedom)
