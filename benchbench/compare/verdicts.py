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
        p_values = [contrast.test_p if contrast else None for contrast in contrasts]
        corrected = iter(holm([p for p in p_values if p is not None]))
        return [None if p is None else next(corrected) for p in p_values]

    def verdict(self, contrast: Contrast, corrected_p: float | None, better: Better) -> Verdict:
        """Return what a contrast shows."""
        if contrast.p_value is None or corrected_p is None:
            return _without_test(contrast)
        if corrected_p < self.level:
            kind = direction(contrast, better)
            return Verdict(kind, f"{kind} ({_p(corrected_p)})", corrected_p)
        if contrast.p_value < self.level:
            return self._taken_back(contrast, corrected_p)
        words = f"not distinguishable with {_count(contrast.n)}"
        return Verdict("not distinguishable", f"{words}; {self._advice(contrast)}", corrected_p)

    def _taken_back(self, contrast: Contrast, corrected_p: float) -> Verdict:
        """Return the verdict on a difference that would count as one on its own."""
        kind: Kind = "not distinguishable after correction"
        if contrast.permutation_p is not None and contrast.permutation_p >= self.level:
            words = f"not distinguishable by a permutation test ({_p(contrast.permutation_p)})"
            return Verdict(kind, f"{words}, but by a t test alone ({_p(contrast.p_value or 0.0)})", corrected_p)
        alone = f"{_p(contrast.test_p or 0.0)} alone, {_p(corrected_p)} as one of {self.num_comparisons}"
        return Verdict(kind, f"not distinguishable after correction ({alone})", corrected_p)

    def _advice(self, contrast: Contrast) -> str:
        # At the level of Holm's first step, which the smallest p value of the table must reach.
        needed = seeds_needed(contrast, level=self.level / self.num_comparisons)
        if needed is None:
            return f"over {MAX_SEEDS} seeds would be needed to show a difference of this size"
        return f"about {needed} seeds would show a difference of this size"


def direction(contrast: Contrast, better: Better) -> Kind:
    """Return which way a difference points."""
    is_higher = contrast.estimate > (1.0 if contrast.is_ratio else 0.0)
    if better == "neither":
        return "higher" if is_higher else "lower"
    return "better" if is_higher == (better == "higher") else "worse"


def not_compared(why: str) -> Verdict:
    """Return the verdict if no test can be made."""
    return Verdict("not compared", f"not compared: {why}")


def _without_test(contrast: Contrast) -> Verdict:
    if min(contrast.n) < 2:  # noqa: PLR2004 - no spread of one
        which = "one trial" if contrast.n[0] == 1 else "one trial of the baseline"
        return not_compared(f"n = 1: {which} says nothing about the spread between seeds")
    if abs(contrast.estimate - (1.0 if contrast.is_ratio else 0.0)) < 1e-9:  # noqa: PLR2004 - rounding
        return Verdict("equal", f"equal in all trials ({_count(contrast.n)})")
    why = "the difference is the same for every seed" if contrast.is_paired else "no value varies between seeds"
    return not_compared(f"{why}, so there is no spread to test it against ({_count(contrast.n)})")


def _count(n: tuple[int, int]) -> str:
    return f"n = {n[0]}" if n[0] == n[1] else f"n = {n[0]} and {n[1]}"


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"  # noqa: PLR2004 - what is printed
