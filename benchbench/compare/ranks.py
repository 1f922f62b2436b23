"""Average ranks over datasets, with Friedman's test and Nemenyi's critical difference.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine Learning Research 7,
2006; the F form of Friedman's test by Iman and Davenport, Communications in Statistics A 9, 1980.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranks:
    """Average ranks of configurations, 1 being best, in their order.

    ``p_value`` is that of the claim that all are equally good, and two of them differ if their average ranks are at
    least ``critical_difference`` apart.
    """

    average: tuple[float, ...]
    num_datasets: int
    p_value: float
    critical_difference: float

    def differ(self, one: int, other: int) -> bool:
        """Tell whether two configurations, given by their numbers, differ."""
        return abs(self.average[one] - self.average[other]) >= self.critical_difference


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
    )


def _friedman(ranks: NDArray[np.float64]) -> float:
    """Return the p value of equal ranks, by the F test of a two-way analysis of ranks, in which ties are no trouble."""
    num_configurations, num_datasets = ranks.shape
    between = num_datasets * float(np.square(ranks.mean(axis=1) - ranks.mean()).sum())
    # Ranks have the same mean in each dataset, so that what remains is the variation within datasets.
    within = float(np.square(ranks - ranks.mean()).sum()) - between
    if between == 0 or num_datasets == 1:
        return 1.0
    freedom = num_configurations - 1
    if within <= 1e-12 * between:
        # All datasets agree, and F is infinite: this is the exact chance that they do, with as many ties.
        ties = np.unique(ranks[:, 0], return_counts=True)[1]
        num_orders = math.factorial(num_configurations) / math.prod(math.factorial(int(tie)) for tie in ties)
        return math.pow(num_orders, 1 - num_datasets)
    ratio = between / freedom / (within / (freedom * (num_datasets - 1)))
    return float(stats.f.sf(ratio, freedom, freedom * (num_datasets - 1)))
