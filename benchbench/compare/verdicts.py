"""What a difference says, in words. A verdict never claims more than the interval beside it shows."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchbench.compare.contrasts import equivalence_p
from benchbench.compare.corrections import bonferroni, holm
from benchbench.compare.formatting import p_value
from benchbench.compare.power import advise
from benchbench.config.design import MIN_SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.contrasts import Contrast
    from benchbench.compare.learning import Criterion, Learning
    from benchbench.records.metrics import Better

Kind = Literal[
    "baseline",
    "better",
    "worse",
    "higher",
    "lower",
    "equivalent",
    "not distinguishable",
    "not distinguishable after correction",
    "equal",
    "not decided",
    "not compared",
]
DIFFERENT: tuple[Kind, ...] = ("better", "worse", "higher", "lower")
POINTS = 100


@dataclass(frozen=True)
class Verdict:
    """One of the kinds, in a sentence that says why.

    ``corrected_p`` is the p value of the difference after correction, and ``equivalence_p`` that of the claim that the
    difference is smaller than the margin, if there is one. ``doubt`` is a part of the words that says what another test
    shows.
    """

    kind: Kind
    words: str
    _: KW_ONLY
    corrected_p: float | None = None
    equivalence_p: float | None = None
    doubt: str = ""


@dataclass(frozen=True)
class Judge:
    """Judges the contrasts of one table: ``level`` is the chance of any false verdict in all of it.

    ``permutation_level`` is that of a permutation test beside one of its t tests. ``criterion`` is what seeds must have
    done to count. With a ``margin``, in the units of the values, differences may also be shown to be smaller than it.
    In each comparison only one of the two claims can be false, so that Bonferroni's correction for the number of
    comparisons covers both; Holm's would not.
    """

    level: float
    num_comparisons: int
    permutation_level: float
    margin: float | None = None
    criterion: Criterion = "learned"

    def correct(self, p_values: Sequence[float]) -> list[float]:
        """Return the p values after correction for their number."""
        return holm(p_values) if self.margin is None else bonferroni(p_values)

    def verdict(self, contrast: Contrast, corrected_p: float | None, better: Better, *, has_margin: bool) -> Verdict:
        """Return what a contrast shows; ``has_margin`` tells whether the margin is one of its metric."""
        if contrast.p_value is None or corrected_p is None:
            return _without_test(contrast)
        same_p = self._same(contrast) if has_margin else None
        if corrected_p < self.level:
            kind = direction(contrast, better)
            doubt = self._doubt(contrast)
            notes = "".join((doubt and f"; {doubt}", self._but_small(same_p)))
            text = f"{kind} ({p_value(corrected_p, self.level)}){notes}"
            return Verdict(kind, text, corrected_p=corrected_p, equivalence_p=same_p, doubt=doubt)
        if same_p is not None and same_p < self.level:
            text = f"the same within {self._points} ({p_value(same_p, self.level)})"
            return Verdict("equivalent", text, corrected_p=corrected_p, equivalence_p=same_p)
        if contrast.p_value < self.level:
            alone, corrected = (p_value(p, self.level) for p in (contrast.p_value, corrected_p))
            kind = "not distinguishable after correction"
            text = f"{kind} ({alone} alone, {corrected} as one of {self.num_comparisons})"
            return Verdict(kind, text, corrected_p=corrected_p, equivalence_p=same_p)
        text = f"not distinguishable with {_count(contrast.n)}"
        if contrast.luck_p == contrast.p_value:
            chance = p_value(contrast.p_value, self.level)
            text += f"; it may be chance that only one {self.criterion}, with all of its seeds ({chance})"
        else:
            text += self._advice(contrast)
        return Verdict("not distinguishable", text, corrected_p=corrected_p, equivalence_p=same_p)

    @property
    def _points(self) -> str:
        return f"{POINTS * (self.margin or 0):g} points"

    def _same(self, contrast: Contrast) -> float | None:
        """Return the corrected p value of a difference within the margin."""
        p = None if self.margin is None else equivalence_p(contrast, self.margin)
        return None if p is None else min(1.0, p * self.num_comparisons)

    def _but_small(self, same_p: float | None) -> str:
        return f", by less than {self._points}" if same_p is not None and same_p < self.level else ""

    def _doubt(self, contrast: Contrast) -> str:
        if contrast.permutation_p is None or contrast.permutation_p < self.permutation_level:
            return ""
        return f"a permutation test does not show it ({p_value(contrast.permutation_p, self.permutation_level)})"

    def _advice(self, contrast: Contrast) -> str:
        # At the level of Holm's first step, which the smallest p value of the table must reach.
        advice = advise(contrast, level=self.level / self.num_comparisons)
        return f"; {advice} would show a difference of this size" if advice else ""


def direction(contrast: Contrast, better: Better) -> Kind:
    """Return which way a difference points."""
    is_higher = contrast.difference > 0
    if better == "neither":
        return "higher" if is_higher else "lower"
    return "better" if is_higher == (better == "higher") else "worse"


def not_compared(why: str) -> Verdict:
    """Return the verdict if no test can be made."""
    return Verdict("not compared", f"not compared: {why}")


def with_learning_verdict(ours: Learning, corrected_p: float | None, baseline: Learning, *, level: float) -> Learning:
    """Return ``ours`` with the verdict of Fisher's test against the baseline, or with the reason why there is none."""
    if ours is baseline:
        return replace(ours, verdict="baseline")
    if not (ours.num_ended and baseline.num_ended):
        return replace(ours, verdict="not compared: nothing has ended")
    if ours.all_learned and baseline.all_learned:
        return replace(ours, verdict=f"equal: all {ours.criterion}")
    if corrected_p is None:
        return replace(ours, verdict="too few seeds for a verdict")
    rates = [side.num_learned / side.num_ended for side in (ours, baseline)]
    kind = "not distinguishable"
    if corrected_p < level:
        verb = "learns" if ours.criterion == "learned" else "predicts several classes"
        kind = f"{verb} {'more' if rates[0] > rates[1] else 'less'} often"
    return replace(ours, corrected_p=corrected_p, verdict=f"{kind} ({p_value(corrected_p, level)})")


def _without_test(contrast: Contrast) -> Verdict:
    if min(contrast.n) < MIN_SEEDS:
        return not_compared(f"too few seeds: {_count(contrast.n)}, and a verdict needs {MIN_SEEDS}")
    if contrast.num_seeds is not None and contrast.num_seeds < MIN_SEEDS:
        few = f"{contrast.num_seeds} in {min(contrast.n)} trials"
        return not_compared(f"too few seeds: {few}, and a verdict needs {MIN_SEEDS}")
    if abs(contrast.difference) < 1e-9:  # noqa: PLR2004 - rounding
        return Verdict("equal", f"equal in all trials ({_count(contrast.n)})")
    why = "the difference is the same for every seed" if contrast.is_paired else "no value varies between seeds"
    return not_compared(f"{why}, so there is no spread to test it against ({_count(contrast.n)})")


def _count(n: tuple[int, int]) -> str:
    return f"n = {n[0]}" if n[0] == n[1] else f"n = {n[0]} and {n[1]}"
