"""One number over all datasets: the interquartile mean, and the probability of improvement, with bootstrap intervals.

R. Agarwal and others, "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021. Seeds are
drawn anew within each dataset (stratified bootstrap, percentile intervals). With three seeds such intervals are too
short; five or more on each dataset are needed for them to mean much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from benchbench.compare.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Scores = Sequence[NDArray[np.float64]]
    """The values of the seeds, an array for each dataset."""

NUM_RESAMPLES = 2_000


def interquartile_mean(scores: Scores, *, confidence: float) -> tuple[float, Interval]:
    """Return the mean of the middle half of all values of all datasets, with its interval."""
    return _iqm(scores), _bootstrap([scores], lambda drawn: _iqm(drawn[0]), confidence=confidence)


def probability_of_improvement(
    ours: Scores, baseline: Scores, *, higher_is_better: bool, confidence: float
) -> tuple[float, Interval]:
    """Return how probable a trial of ours is better than one of the baseline on a dataset drawn at random.

    Equal values count half. On each dataset, this is the statistic of Mann and Whitney by the number of pairs.
    """
    sign = 1 if higher_is_better else -1

    def improvement(drawn: Sequence[Scores]) -> float:
        return float(np.mean([_improvement(sign * one, sign * other) for one, other in zip(*drawn, strict=True)]))

    interval = _bootstrap([ours, baseline], improvement, confidence=confidence)
    return improvement([ours, baseline]), interval


def _iqm(scores: Scores) -> float:
    return float(stats.trim_mean(np.concatenate(list(scores)), 0.25))


def _improvement(ours: NDArray[np.float64], baseline: NDArray[np.float64]) -> float:
    differences = ours[:, None] - baseline
    return float(np.mean(differences > 0) + np.mean(differences == 0) / 2)


def _bootstrap(
    sides: Sequence[Scores], statistic: Callable[[Sequence[Scores]], float], *, confidence: float
) -> Interval:
    random = np.random.default_rng(0)
    drawn = [
        statistic([[random.choice(values, len(values)) for values in side] for side in sides])
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(low), float(high))
