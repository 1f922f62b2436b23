"""What a difference says, in words. A verdict never claims more than the interval beside it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchbench.compare.statistics import MAX_SEEDS, holm, seeds_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.metrics import Better
    from benchbench.compare.statistics import Contrast

Kind = Literal[
    "baseline",
    "better",
    "worse",
    "higher",
    "lower",
    "not distinguishable",
    "not distinguishable after correction",
    "equal",
    "not compared",
]
DIFFERENT: tuple[Kind, ...] = ("better", "worse", "higher", "lower")


@dataclass(frozen=True)
class Verdict:
    """One of the kinds, in a sentence that says why. ``corrected_p`` is the p value after Holm's correction."""

    kind: Kind
    words: str
    corrected_p: float | None = None


@dataclass(frozen=True)
class Judge:
    """Judges the contrasts of one table: ``level`` is the chance of any false verdict in all of it."""

    level: float
    num_comparisons: int

    @staticmethod
    def correct(contrasts: Sequence[Contrast | None]) -> list[float | None]:
        """Return the corrected p value of each contrast that has one."""
        p_values = [found.test_p if found else None for found in contrasts]
        corrected = iter(holm([p for p in p_values if p is not None]))
        return [None if p is None else next(corrected) for p in p_values]

    def verdict(self, found: Contrast, corrected_p: float | None, better: Better) -> Verdict:
        """Return what a contrast shows."""
        if found.p_value is None or corrected_p is None:
            return _without_test(found)
        if corrected_p < self.level:
            kind = direction(found, better)
            return Verdict(kind, f"{kind} ({_p(corrected_p)})", corrected_p)
        if found.p_value < self.level:
            return self._taken_back(found, corrected_p)
        words = f"not distinguishable with {_count(found.n)}"
        return Verdict("not distinguishable", f"{words}; {self._advice(found)}", corrected_p)

    def _taken_back(self, found: Contrast, corrected_p: float) -> Verdict:
        """Return the verdict on a difference that would count as one on its own."""
        kind: Kind = "not distinguishable after correction"
        if found.permutation_p is not None and found.permutation_p >= self.level:
            words = f"not distinguishable by a permutation test ({_p(found.permutation_p)})"
            return Verdict(kind, f"{words}, but by a t test alone ({_p(found.p_value or 0.0)})", corrected_p)
        alone = f"{_p(found.test_p or 0.0)} alone, {_p(corrected_p)} as one of {self.num_comparisons}"
        return Verdict(kind, f"not distinguishable after correction ({alone})", corrected_p)

    def _advice(self, found: Contrast) -> str:
        # At the level of Holm's first step, which the smallest p value of the table must reach.
        needed = seeds_needed(found, level=self.level / self.num_comparisons)
        if needed is None:
            return f"over {MAX_SEEDS} seeds would be needed to show a difference of this size"
        return f"about {needed} seeds would show a difference of this size"


def direction(found: Contrast, better: Better) -> Kind:
    """Return which way a difference points."""
    is_higher = found.estimate > (1.0 if found.is_ratio else 0.0)
    if better == "neither":
        return "higher" if is_higher else "lower"
    return "better" if is_higher == (better == "higher") else "worse"


def not_compared(why: str) -> Verdict:
    """Return the verdict if no test can be made."""
    return Verdict("not compared", f"not compared: {why}")


def _without_test(found: Contrast) -> Verdict:
    if min(found.n) < 2:  # noqa: PLR2004 - no spread of one
        which = "one trial" if found.n[0] == 1 else "one trial of the baseline"
        return not_compared(f"n = 1: {which} says nothing about the spread between seeds")
    if abs(found.estimate - (1.0 if found.is_ratio else 0.0)) < 1e-9:  # noqa: PLR2004 - rounding
        return Verdict("equal", f"equal in all trials ({_count(found.n)})")
    what = "the difference is the same for every seed" if found.is_paired else "no value varies between seeds"
    return not_compared(f"{what}, so there is no spread to test it against ({_count(found.n)})")


def _count(n: tuple[int, int]) -> str:
    return f"n = {n[0]}" if n[0] == n[1] else f"n = {n[0]} and {n[1]}"


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"  # noqa: PLR2004 - what is printed
