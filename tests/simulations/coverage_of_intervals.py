"""How often intervals hold the truth, and how often those without a transformation leave what is possible."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rates import rate
from scipy import stats

from benchbench.compare.intervals import summarize
from benchbench.compare.population import compare_over_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchbench.compare.intervals import Scale

    Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

COLUMNS = ("values", "n", "contains the truth", "plain t", "plain t out of range")


def beta(mean: float, std: float) -> Draw:
    """Return a source of accuracies with this mean and standard deviation."""
    size = mean * (1 - mean) / std**2 - 1
    return lambda random, n: random.beta(mean * size, (1 - mean) * size, n)


def lognormal(spread: float) -> Draw:
    """Return a source of times whose geometric mean is 1."""
    return lambda random, n: random.lognormal(0, spread, n)


@dataclass(frozen=True)
class Case:
    """A source of values, the mean that our interval is about, and the arithmetic mean."""

    name: str
    draw: Draw
    truth: float
    mean: float
    scale: Scale

    @property
    def highest(self) -> float:
        """Return the highest mean that is possible; the lowest is 0."""
        return 1.0 if self.scale == "fraction" else math.inf


CASES = (
    *(
        Case(f"accuracy {100 * mean:g} ± {100 * std:g} %", beta(mean, std), mean, mean, "fraction")
        for mean, std in ((0.6, 0.05), (0.9, 0.03), (0.97, 0.02), (0.99, 0.005))
    ),
    *(
        Case(f"time, spread {100 * spread:g} %", lognormal(spread), 1.0, math.exp(spread**2 / 2), "ratio")
        for spread in (0.1, 0.6)
    ),
)


def intervals(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the coverage of the intervals of means; that of times is of the geometric mean."""
    random, rows = np.random.default_rng(6), []
    for case in CASES:
        for n in (3, 5, 10):
            held = plain = left = 0
            for _ in range(num_tables):
                values = list(case.draw(random, n))
                interval = summarize(values, confidence=0.95, scale=case.scale).interval
                untransformed = summarize(values, confidence=0.95).interval
                assert interval is not None
                assert untransformed is not None
                held += case.truth in interval
                plain += case.mean in untransformed
                left += untransformed.low < 0 or untransformed.high > case.highest
            rows.append((case.name, f"{n}", *(rate(count, num_tables) for count in (held, plain, left))))
    return COLUMNS, rows


def population(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return how often intervals over seeds and images, and over seeds alone, hold the difference on new images."""
    random, rows = np.random.default_rng(7), []
    for is_paired in (True, False):
        for seeds in (3, 5, 10):
            for images in (100, 500):
                held = alone = 0
                for _ in range(num_tables):
                    a, b = _correct(random, (0.75, 0.70), seeds=seeds, images=images)
                    first = 0 if is_paired else 100
                    sides = [
                        {str(seed): row for seed, row in enumerate(side, start=start)}
                        for side, start in ((a, 0), (b, first))
                    ]
                    interval = compare_over_images(*sides, confidence=0.95).interval
                    held += interval is not None and 0.75 - 0.70 in interval
                    means = a.mean(axis=1), b.mean(axis=1)
                    test = stats.ttest_rel(*means) if is_paired else stats.ttest_ind(*means, equal_var=False)
                    low, high = test.confidence_interval(0.95)
                    alone += low <= 0.75 - 0.70 <= high
                setting = "paired" if is_paired else "not paired"
                rows.append((setting, f"{seeds}", f"{images}", rate(held, num_tables), rate(alone, num_tables)))
    return ("seeds", "n", "test images", "over seeds and images", "over seeds alone"), rows


def _correct(
    random: np.random.Generator, accuracies: tuple[float, float], *, seeds: int, images: int
) -> NDArray[np.float64]:
    """Return what two configurations get right, by configuration, seed and image.

    Images are easy or hard for both, and some suit one of the two better. The accuracies are those over all images.
    """
    spreads = {"image": 1.5, "suited": 0.8, "seed": 0.05, "rest": 1.0}
    total = np.sqrt(sum(spread**2 for spread in spreads.values()))
    score = total * stats.norm.ppf(accuracies)[:, None, None]
    score = score + random.normal(0, spreads["image"], images)
    score = score + random.normal(0, spreads["suited"], (2, 1, images))
    score = score + random.normal(0, spreads["seed"], (2, seeds, 1))
    return np.asarray(score + random.normal(0, spreads["rest"], (2, seeds, images)) > 0, dtype=np.float64)
