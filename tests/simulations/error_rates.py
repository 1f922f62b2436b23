"""How often a comparison claims a difference, or that there is none, if that is false."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rates import rate
from scipy import stats
from support.made_records import made, spec

from benchbench.compare import compare_records
from benchbench.compare.verdicts import DIFFERENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.compare import Comparison
    from benchbench.records.record import Record

NUM_ROWS = 4
CHANCE = 1 / 3
"""Of the three classes that made trials have."""

SETTINGS = {
    "seeds shared, correlated": (True, 0.0),
    "seeds not shared": (False, 0.0),
    "seeds shared, 1 in 5 does not learn": (True, 0.2),
    "seeds not shared, 1 in 5 does not learn": (False, 0.2),
    "seeds not shared, 1 in 2 does not learn": (False, 0.5),
}


def false_verdicts(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return how many tables of four equal configurations hold any verdict of a difference."""
    random, rows = np.random.default_rng(1), []
    for setting, (is_shared, failing) in SETTINGS.items():
        for seeds in (3, 5, 10):
            patterns = [
                made(spec(seed if is_shared else seed + 100 * row, lr=0.1 * (row + 1)))
                for row in range(NUM_ROWS)
                for seed in range(seeds)
            ]
            count = 0
            for _ in range(num_tables):
                values = _equal(random, seeds, is_shared=is_shared, failing=failing)
                count += _has_verdict(compare_records(map(_with_accuracy, patterns, values.ravel())))
            rows.append((setting, f"{seeds}", rate(count, num_tables)))
    return ("equal configurations", "seeds", "tables with a false verdict"), rows


def mixed_means(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return how often Welch's test of all seeds claims a difference of two equal means, one with failing seeds."""
    random, rows = np.random.default_rng(2), []
    for seeds in (3, 5, 10, 20):
        shape = (10 * num_tables, seeds)
        learned = random.random(shape) >= 1 / 5
        one = np.where(learned, 0.6, CHANCE) + random.normal(0, 0.01, shape)
        other = random.normal(0.8 * 0.6 + 0.2 * CHANCE, 0.01, shape)
        p_values = stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue
        rows.append((f"{seeds}", rate(int(np.sum(p_values < 0.05)), len(p_values))))
    return ("seeds", "false claims of a t test of all seeds"), rows


def equivalence(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return how often "the same within 0.5 points" is claimed, by the true difference and the noise."""
    random, rows = np.random.default_rng(3), []
    num_draws, margin = 10 * num_tables, 0.5
    for seeds in (5, 10, 20):
        cells = []
        for difference in (margin, 0.25, 0.0):
            gains = random.normal(difference, 0.5, (num_draws, seeds))
            error = gains.std(axis=1, ddof=1) / np.sqrt(seeds)
            nearest = np.minimum(gains.mean(axis=1) + margin, margin - gains.mean(axis=1))
            claims = stats.t.sf(nearest / error, seeds - 1) < 0.05
            cells.append(rate(int(claims.sum()), num_draws))
        rows.append((f"{seeds}", *cells))
    return ("pairs", "true difference 0.5 points (false)", "0.25 points", "0"), rows


def _equal(random: np.random.Generator, seeds: int, *, is_shared: bool, failing: float) -> NDArray[np.float64]:
    """Return accuracies of equal configurations, by row and seed; the seeds of a row correlate by 0.8 if shared."""
    of_seeds = random.normal(0, 0.02, (1, seeds)) if is_shared else random.normal(0, 0.02, (NUM_ROWS, seeds))
    values = 0.6 + of_seeds + random.normal(0, 0.01, (NUM_ROWS, seeds))
    at_chance = random.random(values.shape) < failing
    return np.where(at_chance, CHANCE + random.normal(0, 0.01, values.shape), values)


def _with_accuracy(record: Record, accuracy: float) -> Record:
    assert record.final is not None
    return replace(record, final=replace(record.final, test_accuracy=float(accuracy), val_accuracy=float(accuracy)))


def _has_verdict(comparison: Comparison) -> bool:
    return any(
        row.cells["test_accuracy"].verdict.kind in DIFFERENT or row.learning.verdict.startswith("learns")
        for row in comparison.rows
    )
