"""Tests at several looks with one level for all of them: which comparisons are decided, and which to give up.

A look after n of N seeds may spend the fraction n / N of the level, so each look spends what the new seeds add: the
power family of spending functions with exponent 1 (Kim and DeMets, "Design and analysis of group sequential tests
based on the type I error spending rate function", Biometrika 74, 1987, after Lan and DeMets, Biometrika 70, 1983).
Each look tests at its own part of the level with the p value of an ordinary test. By Bonferroni's inequality the
parts add up to the level, whatever the distribution and however the looks depend on each other.

At each look the part is divided by the number of comparisons that no look has decided yet (Holm's method, Scandinavian
Journal of Statistics 6, 1979, carried over the looks): before the first false decision all true null hypotheses are
undecided, so their number never exceeds the divisor. If differences may also be shown to be smaller than a margin, a
comparison may end because its null hypothesis is true, and the divisor stays at the number of all comparisons.

A comparison is given up if more seeds would hardly decide it. That only takes decisions away, so it costs no level.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from benchbench.compare.power import POWER, seeds_needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Key = tuple[str, str]
"""A comparison with the baseline: the name of a configuration, and of a metric."""

Outcome = Literal["decided", "given up", "open"]

HOPELESS = 0.1
"""A comparison is given up if it is decided at the last look with a smaller probability than this."""

NUM_PATHS = 4_000


@dataclass(frozen=True)
class Evidence:
    """The p value of one comparison at one look, and the degrees of freedom of its test; None if there is no test.

    ``same_p`` is that of the claim that the difference is smaller than the margin, if there is one.
    """

    p_value: float | None
    degrees: float = 1.0
    same_p: float | None = None


@dataclass(frozen=True)
class Decision:
    """What came of a comparison.

    ``look`` is the number of the look that ended it, from 1, or of the last one. ``level`` is what it was tested at
    there. ``is_same`` tells whether it was decided that the difference is smaller than the margin. ``chance`` is the
    probability that the last look would have decided a comparison that was given up.
    """

    outcome: Outcome
    _: KW_ONLY
    look: int
    level: float
    p_value: float | None = None
    chance: float | None = None
    is_same: bool = False


@dataclass(frozen=True)
class Looks:
    """The number of seeds at each look, the level for all of them, and whether there is a margin."""

    seeds: tuple[int, ...]
    level: float
    has_margin: bool = False

    @property
    def levels(self) -> tuple[float, ...]:
        """Return the part of the level that each look spends; they add up to the level."""
        before = (0, *self.seeds)
        return tuple(self.level * (now - then) / self.seeds[-1] for then, now in zip(before, self.seeds, strict=False))

    def judge(self, look: int, evidence: Mapping[Key, Evidence], before: Mapping[Key, Decision]) -> dict[Key, Decision]:
        """Return the decisions after a look, numbered from 1, with those of the looks before it."""
        decisions = dict(before)
        waiting = {key: item for key, item in evidence.items() if before.get(key, _OPEN).outcome == "open"}
        num_decided = 0 if self.has_margin else sum(item.outcome == "decided" for item in before.values())
        for key, item in sorted(waiting.items(), key=lambda pair: _sortable(pair[1].p_value)):
            decision = self._judge_one(look, item, max(len(evidence) - num_decided, 1))
            num_decided += decision.outcome == "decided" and not self.has_margin
            decisions[key] = decision
        return decisions

    def _judge_one(self, look: int, item: Evidence, divisor: int) -> Decision:
        level = self.levels[look - 1] / divisor
        if item.p_value is not None and item.p_value <= level:
            return Decision("decided", look=look, level=level, p_value=item.p_value)
        if item.same_p is not None and item.same_p <= level:
            return Decision("decided", look=look, level=level, p_value=item.same_p, is_same=True)
        chance = self.chance(look, item, level_at_end=self.levels[-1] / divisor)
        is_hopeless = chance is not None and chance < HOPELESS and item.same_p is None
        outcome: Outcome = "given up" if is_hopeless else "open"
        return Decision(outcome, look=look, level=level, p_value=item.p_value, chance=chance)

    def chance(self, look: int, evidence: Evidence, *, level_at_end: float) -> float | None:
        """Return the probability that the last look decides a comparison, given what was seen; None if unknown.

        It is predicted from the mean and spread so far and nothing else: with n of N seeds, the mean of all N is the
        mean so far plus Student's t times the standard error times sqrt(1 - n / N).
        """
        if evidence.p_value is None or look == len(self.seeds):
            return None
        fraction = self.seeds[look - 1] / self.seeds[-1]
        now = float(stats.t.isf(max(evidence.p_value, 1e-300) / 2, evidence.degrees))
        degrees_at_end = (evidence.degrees + 1) / fraction - 1
        needed = float(stats.t.isf(level_at_end / 2, degrees_at_end)) * math.sqrt(fraction)
        spread = math.sqrt(1 - fraction)
        above, below = stats.t.sf([(needed - now) / spread, (needed + now) / spread], evidence.degrees)
        return float(above + below)


_OPEN = Decision("open", look=0, level=0.0)


def _sortable(p_value: float | None) -> float:
    return math.inf if p_value is None else p_value


@lru_cache
def fixed_seeds(seeds: tuple[int, ...], level: float, *, num_comparisons: int = 1) -> int:
    """Return how many seeds a fixed design needs for the same power.

    That is its power at the effect that the looks decide in four cases of five, with paired seeds, both at Holm's first
    step. The power of the looks is simulated with a fixed seed, and that of the fixed design is exact.
    """
    step = level / num_comparisons
    levels = Looks(seeds, step).levels
    noise = np.random.default_rng(0).standard_normal((NUM_PATHS, seeds[-1]))
    low, high = 0.0, 10.0
    for _ in range(20):
        effect = (low + high) / 2
        low, high = (low, effect) if _power(noise + effect, seeds, levels) > POWER else (effect, high)
    needed = seeds_needed(high, [1.0], level=step)
    return min(needed or seeds[-1], seeds[-1])


def _power(values: NDArray[np.float64], seeds: tuple[int, ...], levels: tuple[float, ...]) -> float:
    """Return the fraction of rows of paired differences that a look decides."""
    is_decided = np.zeros(len(values), dtype=bool)
    for n, level in zip(seeds, levels, strict=True):
        seen = values[:, :n]
        t = np.abs(seen.mean(axis=1)) * math.sqrt(n) / seen.std(axis=1, ddof=1)
        is_decided |= t >= stats.t.isf(level / 2, n - 1)
    return float(is_decided.mean())
