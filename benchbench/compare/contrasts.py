"""One configuration against another: their difference or ratio, and the one test that decides about it.

The test is Student's over pairs of trials with the same seed, or Welch's over all trials. The choice
depends on the seeds that both have, and never on the values: a test that is chosen by its result is invalid.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from benchbench.compare.intervals import SAME, Interval, exponential, is_constant
from benchbench.config.design import MIN_SEEDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Values = dict[str, float]
"""A metric's values by what trials are paired by, such as their seeds."""

Test = Literal["paired t", "Welch's t", "Wilcoxon's signed-rank"]
INTERVAL_METHODS: dict[Test, str] = {
    "paired t": "Student's t",
    "Welch's t": "Student's t",
    "Wilcoxon's signed-rank": "bootstrap",
}
"""How the interval is made that belongs to each test."""

MAX_RESAMPLES = 9_999


@dataclass(frozen=True)
class Contrast:
    """One configuration against another.

    ``estimate`` is the difference of the means, or the ratio of the geometric means, of the ``n`` values that were
    tested; ``left_out`` names those that have no partner, and ``num_seeds`` is how many different seeds each side has
    at least. ``p_value`` is that of the test whose interval this is; it is None for fewer than ``MIN_SEEDS`` values or
    seeds. Without spread there is neither. ``standard_error`` and ``degrees_of_freedom`` belong to the difference, of
    logarithms for a ratio. ``deviations`` are the standard deviation of the differences if paired, and else those of
    both sides. ``correlation`` is that of the two sides over the seeds that both have. ``permutation_p`` is that of a
    permutation test, if there are enough trials for one: a note on how far the verdict depends on the normal
    distribution. ``luck_p`` is the probability that equal configurations differ as much in which seeds
    learn; ``p_value`` is never below it. What could not be measured is None.
    """

    estimate: float
    is_ratio: bool
    test: Test
    n: tuple[int, int]
    left_out: tuple[str, ...] = ()
    num_seeds: int | None = None
    correlation: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    permutation_p: float | None = None
    luck_p: float | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    deviations: tuple[float, ...] | None = None

    @property
    def is_paired(self) -> bool:
        """Tell whether trials were compared seed by seed."""
        return self.test != "Welch's t"

    @property
    def interval_method(self) -> str:
        """Return how the interval is made, such as ``Student's t``."""
        return INTERVAL_METHODS[self.test]

    @property
    def difference(self) -> float:
        """Return the estimate on the scale of the test: the logarithm of a ratio."""
        return math.log(self.estimate) if self.is_ratio else self.estimate


def pairs(ours: Mapping[str, float], baseline: Mapping[str, float]) -> tuple[str, ...]:
    """Return the keys by which two sides are compared in pairs, sorted; none if all values are compared as two groups.

    They are paired if they have the same keys, or at least ``MIN_SEEDS`` in common and no fewer than half of those
    of the longer side. With fewer pairs, all values of both sides say more than the pairs alone.
    """
    shared = ours.keys() & baseline.keys()
    enough = len(shared) >= MIN_SEEDS and 2 * len(shared) >= max(len(ours), len(baseline))
    return tuple(sorted(shared)) if enough or ours.keys() == baseline.keys() else ()


def contrast(ours: Values, baseline: Values, *, as_ratio: bool, confidence: float) -> Contrast:
    """Return the difference or ratio of two configurations that have at least one value each, as it is tested.

    A ratio is a difference of logarithms, so that A to B is the inverse of B to A, interval included; its values must
    be positive.
    """
    paired = pairs(ours, baseline)
    a, b = _arrays(ours, baseline, paired, as_ratio=as_ratio)
    difference = float(a.mean() - b.mean())
    untested = Contrast(
        math.exp(difference) if as_ratio else difference,
        as_ratio,
        "paired t" if paired else "Welch's t",
        (len(a), len(b)),
        left_out=tuple(sorted((ours.keys() | baseline.keys()) - set(paired))) if paired else (),
        correlation=_correlation(ours, baseline, as_ratio=as_ratio),
    )
    varies = _differs_between_pairs(a, b) if paired else _varies(a, b)
    return _tested(untested, a, b, confidence=confidence) if varies else untested


def equivalence_p(tested: Contrast, margin: float) -> float | None:
    """Return the p value of the claim that the difference is smaller than ``margin``: two one-sided t tests (TOST).

    ``margin`` is in the units of the values. None without a test of the difference. Schuirmann, "A comparison of the
    two one-sided tests procedure and the power approach", J. of Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    if tested.p_value is None or tested.standard_error is None:
        return None
    below = (tested.difference + margin) / tested.standard_error
    above = (margin - tested.difference) / tested.standard_error
    return float(stats.t.sf(min(below, above), tested.degrees_of_freedom))


def permutation_p(ours: Values, baseline: Values, *, as_ratio: bool, level: float) -> float | None:
    """Return the p value of an exact or random permutation test, or None if it could not reach ``level``.

    Signs are flipped within pairs, or trials change sides. It does not assume a normal distribution.
    """
    paired = pairs(ours, baseline)
    a, b = _arrays(ours, baseline, paired, as_ratio=as_ratio)
    num_arrangements = 2 ** len(a) if paired else math.comb(len(a) + len(b), len(a))
    if 2 / min(num_arrangements, MAX_RESAMPLES + 1) > level:
        return None
    result = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=MAX_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _tested(untested: Contrast, a: NDArray[np.float64], b: NDArray[np.float64], *, confidence: float) -> Contrast:
    paired = untested.is_paired
    with warnings.catch_warnings():
        # One side of Welch's test may be constant. scipy warns of its variance, which is zero and correct.
        warnings.filterwarnings("ignore", message="Precision loss occurred in moment calculation")
        test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
    low, high = (float(end) for end in test.confidence_interval(confidence))
    deviations = (float(np.std(a - b, ddof=1)),) if paired else (float(np.std(a, ddof=1)), float(np.std(b, ddof=1)))
    counts = untested.n[:1] if paired else untested.n
    return replace(
        untested,
        interval=exponential(low, high) if untested.is_ratio else Interval(low, high),
        p_value=float(test.pvalue) if min(untested.n) >= MIN_SEEDS else None,
        standard_error=math.sqrt(sum(std**2 / count for std, count in zip(deviations, counts, strict=True))),
        degrees_of_freedom=float(test.df),
        deviations=deviations,
    )


def _arrays(
    ours: Mapping[str, float], baseline: Mapping[str, float], paired: Sequence[str], *, as_ratio: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.array([ours[key] for key in paired or sorted(ours)], dtype=np.float64)
    b = np.array([baseline[key] for key in paired or sorted(baseline)], dtype=np.float64)
    return (np.log(a), np.log(b)) if as_ratio else (a, b)


def _correlation(ours: Values, baseline: Values, *, as_ratio: bool) -> float | None:
    """Return the correlation over the keys that both have; None for fewer than three, or for what does not vary."""
    shared = sorted(ours.keys() & baseline.keys())
    if len(shared) < MIN_SEEDS:
        return None
    a, b = _arrays(ours, baseline, shared, as_ratio=as_ratio)
    return None if is_constant(a) or is_constant(b) else float(np.corrcoef(a, b)[0, 1])


def _differs_between_pairs(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    # Measured against the values: 0.75 - 0.73 and 0.76 - 0.74 differ in the last digit.
    return len(a) > 1 and bool(np.ptp(a - b) > SAME * max(np.abs(a).max(), np.abs(b).max()))


def _varies(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return min(len(a), len(b)) > 1 and not (is_constant(a) and is_constant(b))
