"""Average ranks over datasets, with Friedman's test and Nemenyi's critical difference.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine Learning Research 7,
2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from benchbench.compare.contrasts import MAX_RESAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranks:
    """Average ranks of configurations, 1 being best, in their order.

    ``p_value`` is that of the claim that all are equally good. If it is below ``level``, two of them differ if their
    average ranks are at least ``critical_difference`` apart.
    """

    average: tuple[float, ...]
    num_datasets: int
    p_value: float
    critical_difference: float
    level: float

    def differ(self, one: int, other: int) -> bool:
        """Tell whether two configurations, given by their numbers, differ."""
        distance = abs(self.average[one] - self.average[other])
        return self.p_value < self.level and distance >= self.critical_difference


def rank_over_datasets(values: NDArray[np.float64], *, higher_is_better: bool, confidence: float) -> Ranks:
    """Return the ranks of ``values``, the means of configurations by datasets; equal ones share a rank."""
    num_configurations, num_datasets = values.shape
    ranks = stats.rankdata(-values if higher_is_better else values, axis=0)
    quantile = float(stats.studentized_range.ppf(confidence, num_configurations, np.inf)) / math.sqrt(2)
    return Ranks(
        tuple(map(float, ranks.mean(axis=1))),
        num_datasets,
        _friedman(ranks),
        quantile * math.sqrt(num_configurations * (num_configurations + 1) / (6 * num_datasets)),
        level=1 - confidence,
    )


def _friedman(ranks: NDArray[np.float64]) -> float:
    """Return the p value of equal ranks: how often ranks permuted at random on each dataset differ as much.

    It is exact if there are few permutations, as with few datasets, for which the usual approximations are poor.
    """

    def spread(*rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(np.var([row.mean(axis=axis) for row in rows], axis=0))

    test = stats.permutation_test(
        tuple(ranks),
        spread,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=MAX_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
