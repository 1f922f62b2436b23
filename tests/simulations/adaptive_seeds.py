"""Designs that add seeds: how often they claim a difference that is none, and what they cost.

Tests are computed for all tables at once, and a few of them are held against the program's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rates import rate
from scipy import stats

from benchbench.compare.contrasts import contrast
from benchbench.compare.power import power
from benchbench.compare.sequential_tests import Evidence, Looks, fixed_seeds
from benchbench.config.design import MIN_SEEDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.compare.sequential_tests import Decision, Key

    Numbers = NDArray[np.float64]
    Cells = list[tuple[str, ...]]

LOOKS = (3, 5, 8, 12, 20)
LEVEL = 0.05
NUM_ROWS = 4
NUM_CHECKED = 10
CHANCE = 1 / 3
SETTINGS = {
    "seeds shared, correlated": (True, 0.0),
    "seeds not shared": (False, 0.0),
    "seeds shared, 1 in 5 does not learn": (True, 0.2),
    "seeds not shared, 1 in 5 does not learn": (False, 0.2),
    "seeds not shared, 1 in 2 does not learn": (False, 0.5),
}
EFFECTS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Tables:
    """Accuracies by table, row and seed, which of them learned, and whether rows have the same seeds."""

    values: Numbers
    learned: NDArray[np.bool_]
    is_shared: bool

    def tests(self, seeds: int) -> tuple[Numbers, Numbers]:
        """Return p values and degrees of freedom of each row against the first, by table; NaN without a test."""
        values, learned = self.values[:, :, :seeds], self.learned[:, :, :seeds]
        tests = [
            _tests(values[:, row], values[:, 0], learned[:, row], learned[:, 0], is_shared=self.is_shared)
            for row in range(1, values.shape[1])
        ]
        p_values, degrees = (np.stack(each, axis=1) for each in zip(*tests, strict=True))
        self._check(p_values, seeds)
        return p_values, degrees

    def _check(self, p_values: Numbers, seeds: int) -> None:
        """Hold the first tables against the program's test."""
        for table, row in np.ndindex(NUM_CHECKED, p_values.shape[1]):
            ours, theirs = (self._side(table, number, seeds) for number in (row + 1, 0))
            is_mixed = any(0 < len(side) < seeds for side in (ours, theirs))
            if is_mixed and ours and theirs:
                expected = contrast(ours, theirs, as_ratio=False, confidence=0.95).p_value
                np.testing.assert_allclose(p_values[table, row], np.nan if expected is None else expected)

    def _side(self, table: int, row: int, seeds: int) -> dict[str, float]:
        first = 0 if self.is_shared else 100 * row
        kept = np.flatnonzero(self.learned[table, row, :seeds])
        return {str(first + seed): self.values[table, row, seed] for seed in kept}


def false_verdicts(num_tables: int) -> tuple[tuple[str, ...], Cells]:
    """Return how many tables of four equal configurations hold a verdict after any look, by how the level is spent."""
    random, rows = np.random.default_rng(8), []
    for setting, (is_shared, failing) in SETTINGS.items():
        tables = _equal(random, num_tables, is_shared=is_shared, failing=failing)
        tests = [tables.tests(seeds) for seeds in LOOKS]
        by_design = sum(
            any(decision.outcome == "decided" for decision in decisions.values()) for decisions in decide(tests)
        )
        at_will, always = (
            sum(_has_verdict(tests, table, levels) for table in range(num_tables))
            for levels in ([LEVEL / 2**look for look in range(len(LOOKS))], [LEVEL] * len(LOOKS))
        )
        rows.append((setting, *(rate(count, num_tables) for count in (by_design, at_will, always))))
    return ("equal configurations", "`decide`", "seeds added at will, level halved", "5 % at every look"), rows


def costs(num_tables: int) -> tuple[tuple[str, ...], Cells]:
    """Return the seeds and the power of one comparison in pairs, beside those of a fixed design."""
    random, rows, fixed = np.random.default_rng(9), [], fixed_seeds(LOOKS, LEVEL)
    levels = Looks(LOOKS, LEVEL).levels
    for effect in EFFECTS:
        gains = random.normal(effect, 1, (num_tables, LOOKS[-1]))
        tables = Tables(
            np.stack([np.zeros_like(gains), gains], axis=1), np.ones((num_tables, 2, LOOKS[-1]), bool), True
        )
        decisions = [
            decision for each in decide([tables.tests(seeds) for seeds in LOOKS]) for decision in each.values()
        ]
        seen = [gain[: LOOKS[decision.look - 1]] for gain, decision in zip(gains, decisions, strict=True)]
        covered = sum(
            abs(gain.mean() - effect) <= _half_width(gain, levels[decision.look - 1])
            for gain, decision in zip(seen, decisions, strict=True)
        )
        early = [gain.mean() for gain, one in zip(seen, decisions, strict=True) if one.outcome == "decided"]
        rows.append(
            (
                f"{effect:g}",
                rate(len(early), num_tables),
                f"{np.mean([len(gain) for gain in seen]):.1f}",
                f"{100 * float(power(np.array([fixed]), effect, [1.0], level=LEVEL)[0]):.1f} %",
                f"{fixed}",
                f"{np.mean(early):.2f}" if effect else "",
                rate(covered, num_tables),
            )
        )
    columns = ("difference in deviations", "decided", "seeds, mean", "fixed design decides", "its seeds")
    return (*columns, "mean estimate if decided", "intervals that cover"), rows


def decide(tests: list[tuple[Numbers, Numbers]]) -> list[dict[Key, Decision]]:
    """Return what came of the comparisons of each table."""
    looks, num_tables = Looks(LOOKS, LEVEL), len(tests[0][0])
    ends: list[dict[Key, Decision]] = []
    for table in range(num_tables):
        decisions: dict[Key, Decision] = {}
        for number, (p_values, degrees) in enumerate(tests, start=1):
            evidence = {
                (str(row), "accuracy"): Evidence(None if np.isnan(p) else float(p), float(degrees[table, row]))
                for row, p in enumerate(p_values[table])
            }
            decisions = looks.judge(number, evidence, decisions)
            if all(decision.outcome != "open" for decision in decisions.values()):
                break
        ends.append(decisions)
    return ends


def _has_verdict(tests: list[tuple[Numbers, Numbers]], table: int, levels: list[float]) -> bool:
    """Tell whether a look finds a difference, each at its level and at Holm's first step."""
    return any(
        np.nanmin([1.0, *p_values[table]]) * max(np.sum(~np.isnan(p_values[table])), 1) < level
        for (p_values, _), level in zip(tests, levels, strict=True)
    )


def _tests(
    ours: Numbers, theirs: Numbers, our_learned: NDArray[np.bool_], their_learned: NDArray[np.bool_], *, is_shared: bool
) -> tuple[Numbers, Numbers]:
    """Return p values and degrees of freedom by table: in pairs if enough seeds are shared, or else Welch's."""
    n, seeds = (our_learned.sum(axis=1), their_learned.sum(axis=1)), ours.shape[1]
    # Where all seeds of a side stay at chance, all values are compared, unless that is luck.
    none = (n[0] == 0) | (n[1] == 0)
    is_mixed = ((n[0] > 0) & (n[0] < seeds)) | ((n[1] > 0) & (n[1] < seeds))
    a, b = our_learned | ~is_mixed[:, None], their_learned | ~is_mixed[:, None]
    with np.errstate(all="ignore"):
        num_pairs, gain, of_gain = _moments(ours - theirs, a & b)
        num_ours, mean_ours, var_ours = _moments(ours, a)
        num_theirs, mean_theirs, var_theirs = _moments(theirs, b)
        paired = 2 * stats.t.sf(np.abs(gain) / np.sqrt(of_gain / num_pairs), num_pairs - 1)
        of_ours, of_theirs = var_ours / num_ours, var_theirs / num_theirs
        error = of_ours + of_theirs
        degrees = error**2 / (of_ours**2 / (num_ours - 1) + of_theirs**2 / (num_theirs - 1))
        welch = 2 * stats.t.sf(np.abs(mean_ours - mean_theirs) / np.sqrt(error), degrees)
    in_pairs = is_shared & (num_pairs >= MIN_SEEDS) & (2 * num_pairs >= np.maximum(num_ours, num_theirs))
    enough = np.minimum(num_ours, num_theirs) >= MIN_SEEDS
    p_values = np.where(in_pairs, paired, np.where(enough, welch, np.nan))
    for table in np.flatnonzero(none & (n[0] != n[1])):
        if {n[0][table], n[1][table]} == {0, seeds}:
            p_values[table] = np.fmax(p_values[table], 2 * 0.25**seeds)
    return p_values, np.where(in_pairs, num_pairs - 1, np.nan_to_num(degrees, nan=1.0))


def _moments(values: Numbers, kept: NDArray[np.bool_]) -> tuple[Numbers, Numbers, Numbers]:
    """Return number, mean and variance of the values that are kept, by table."""
    count = kept.sum(axis=1)
    mean = np.where(kept, values, 0).sum(axis=1) / count
    squares = np.where(kept, (values - mean[:, None]) ** 2, 0).sum(axis=1)
    return count, mean, squares / (count - 1)


def _half_width(gains: Numbers, level: float) -> float:
    return float(stats.t.isf(level / 2, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))


def _equal(random: np.random.Generator, num_tables: int, *, is_shared: bool, failing: float) -> Tables:
    """Return accuracies of equal configurations; the seeds of a row correlate by 0.8 if they are shared."""
    shape = (num_tables, NUM_ROWS, LOOKS[-1])
    of_seeds = random.normal(0, 0.02, (num_tables, 1, LOOKS[-1]) if is_shared else shape)
    noise, learned = random.normal(0, 0.01, shape), random.random(shape) >= failing
    return Tables(np.where(learned, 0.6 + of_seeds, CHANCE) + noise, learned, is_shared)
