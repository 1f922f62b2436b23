"""Performance profiles: on which fraction of problems a configuration is within a factor of the fastest.

E. D. Dolan and J. J. Moré, "Benchmarking optimization software with performance profiles", Mathematical Programming 91,
2002. A problem is a target on a dataset, as in AlgoPerf (G. E. Dahl and others, "Benchmarking neural network training
algorithms", 2023), whose score is the area under the profile up to a factor of 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FACTOR = 4.0


@dataclass(frozen=True)
class Profile:
    """One configuration: its ratio to the fastest on each problem, infinite if it never reached the target."""

    ratios: tuple[float, ...]

    def fraction_within(self, factor: float) -> float:
        """Return the fraction of problems on which it took at most ``factor`` times as long as the fastest."""
        return sum(ratio <= factor for ratio in self.ratios) / len(self.ratios)

    @property
    def score(self) -> float:
        """Return the area under the profile from 1 to :data:`MAX_FACTOR`, as a fraction of the largest possible."""
        areas = [max(MAX_FACTOR - ratio, 0.0) for ratio in self.ratios]
        return math.fsum(areas) / len(areas) / (MAX_FACTOR - 1)


def profiles(times: NDArray[np.float64]) -> tuple[Profile, ...]:
    """Return the profile of each configuration from its times by problem, infinite for targets never reached.

    A problem that no configuration solves counts as failed by all of them.
    """
    fastest = times.min(axis=0)
    ratios = np.where(np.isfinite(times), times / np.where(np.isfinite(fastest), fastest, 1.0), np.inf)
    return tuple(Profile(tuple(map(float, row))) for row in ratios)
