"""Comparisons whose number of seeds depends on the results: look after look, from the records alone.

The records and the design determine every look, so nothing else has to be kept: a call that goes on after an
interruption comes to the same decisions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.comparison import compare_records
from benchbench.compare.contrasts import equivalence_p
from benchbench.compare.learning import ENDED
from benchbench.compare.metric_values import Metric
from benchbench.compare.sequential_tests import Decision, Evidence, Looks, fixed_seeds
from benchbench.compare.verdicts import POINTS, Verdict, direction, not_compared
from benchbench.config.compare_section import plain_name, target_names
from benchbench.errors import SpecError
from benchbench.records.metrics import TEST_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchbench.compare.cells import Cell
    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.learning import Learning
    from benchbench.compare.sequential_tests import Key, Outcome
    from benchbench.config.compare_section import Question
    from benchbench.config.design import Design
    from benchbench.config.spec import Spec
    from benchbench.records.record import Record

_ADDED = "not tested, because the number of seeds depended on results"


@dataclass(frozen=True)
class AdaptiveProgress:
    """How a design has gone so far: the comparison of each look, and what came of each comparison.

    ``obstacle`` says why no look can be taken, for example because no trial has finished.
    """

    question: Question
    design: Design
    comparisons: tuple[Comparison, ...] = ()
    decisions: Mapping[Key, Decision] = field(default_factory=dict)
    obstacle: str = ""

    @staticmethod
    def begin(question: Question, design: Design) -> AdaptiveProgress:
        """Return the progress before the first look."""
        # A trial that never reaches a target has no value, so targets are compared once all is decided.
        of_targets = {name for metric, value in question.targets.items() for name in target_names(metric, value)}
        decided = tuple(name for name in question.metrics if plain_name(name) not in of_targets)
        metrics = decided or (TEST_ACCURACY,)
        return AdaptiveProgress(question.model_copy(update={"targets": {}, "metrics": metrics}), design)

    @property
    def looks(self) -> Looks:
        """Return the looks with their levels."""
        return Looks(self.design.looks, 1 - self.question.confidence, has_margin=self.question.margin is not None)

    @property
    def next_seeds(self) -> tuple[int, ...]:
        """Return the seeds of the next look; none after the last."""
        number = len(self.comparisons)
        return () if self.is_over else self.design.seeds[: self.design.looks[number]]

    @property
    def is_over(self) -> bool:
        """Tell whether every comparison is decided or given up, or the seeds are spent."""
        is_spent = len(self.comparisons) == len(self.design.looks)
        return bool(self.obstacle) or is_spent or (bool(self.comparisons) and not self.of_outcome("open"))

    def of_outcome(self, outcome: Outcome) -> list[Key]:
        """Return the comparisons that came to this."""
        return [key for key, decision in self.decisions.items() if decision.outcome == outcome]

    def wants(self, spec: Spec) -> bool:
        """Tell whether the next look needs this trial."""
        if spec.seed not in self.next_seeds:
            return False
        return not self.comparisons or any(row.has(spec) for row in self._active_rows())

    def is_ready(self, records: Iterable[Record]) -> bool:
        """Tell whether all trials of the next look have ended."""
        seeds = set(self.next_seeds)
        ended: dict[str, set[int]] = defaultdict(set)
        for record in records:
            if self.wants(record.spec):
                ended[record.spec.configuration_id] |= {record.spec.seed} if record.status in ENDED else set()
        num_expected = len(ended) if self.comparisons else self.design.num_configurations
        return bool(seeds) and len(ended) == num_expected > 0 and all(seeds <= done for done in ended.values())

    def then(self, records: Iterable[Record]) -> AdaptiveProgress:
        """Return the progress after the next look at these records; those of later seeds are left out."""
        number, seeds = len(self.comparisons) + 1, set(self.next_seeds)
        confidence = 1 - self.looks.levels[number - 1]
        question = self.question.model_copy(update={"confidence": confidence})
        seen = [record for record in records if record.spec.seed in seeds and self._may_count(record.spec)]
        try:
            comparison = compare_records(seen, question)
        except SpecError as error:
            return replace(self, obstacle=error.message)
        decisions = self.looks.judge(number, dict(_evidence(comparison)), self.decisions)
        return replace(
            self,
            comparisons=(*self.comparisons, comparison),
            decisions={key: _given_up_if_hopeless(comparison, key, decision) for key, decision in decisions.items()},
        )

    @property
    def comparison(self) -> Comparison:
        """Return all comparisons, each as it was at the look that ended it."""
        last = self.comparisons[-1]
        return replace(
            last,
            confidence=self.question.confidence,
            num_comparisons=len(self.decisions),
            rows=tuple(
                replace(
                    row,
                    cells=dict(self._cells(row)),
                    learning=row.learning if row.is_baseline else _without_test(row.learning, _ADDED),
                )
                for row in last.rows
            ),
            facts=(*last.facts, *self._facts()),
        )

    @property
    def num_fixed_seeds(self) -> int:
        """Return the seeds of a fixed design of the same power."""
        return fixed_seeds(self.design.looks, self.looks.level, num_comparisons=self._num_comparisons)

    def seeds_of(self, key: Key) -> int:
        """Return the number of seeds at which a comparison ended, or was seen last."""
        return self.design.looks[self.decisions[key].look - 1]

    def to_json(self) -> dict[str, object]:
        """Return the design and its decisions as plain data."""
        return {
            "looks": list(self.design.looks),
            "levels": list(self.looks.levels),
            "seeds": list(self.design.seeds),
            "num_looks_taken": len(self.comparisons),
            "is_over": self.is_over,
            "obstacle": self.obstacle,
            "fixed_seeds": self.num_fixed_seeds,
            "comparisons": [
                {"configuration": name, "metric": metric, "seeds": self.seeds_of((name, metric)), **asdict(decision)}
                for (name, metric), decision in self.decisions.items()
            ],
        }

    @property
    def _num_comparisons(self) -> int:
        return len(self.decisions) or (self.design.num_configurations - 1) * len(self.question.metrics)

    def _active_rows(self) -> Iterator[Row]:
        names = {name for name, _ in self.of_outcome("open")}
        for row in self.comparisons[-1].rows:
            if row.name in names or (row.is_baseline and names):
                yield row

    def _may_count(self, spec: Spec) -> bool:
        """Tell whether a trial is in the next look: one that the look needs, or one of a row that ended before."""
        if self.wants(spec) or not self.comparisons:
            return True
        for row in self.comparisons[-1].rows:
            if row.has(spec):
                last = max(self.decisions[row.name, metric].look for metric in row.cells)
                return spec.seed in self.design.seeds[: self.design.looks[last - 1]]
        return False

    def _cells(self, row: Row) -> Iterator[tuple[str, Cell]]:
        for metric, cell in row.cells.items():
            decision = self.decisions.get((row.name, metric))
            if decision is None:
                yield metric, cell
                continue
            at_its_end = _cell(self.comparisons[decision.look - 1], (row.name, metric))
            yield metric, replace(at_its_end, verdict=self._verdict(at_its_end, decision))

    def _verdict(self, cell: Cell, decision: Decision) -> Verdict:
        seeds, most = self.design.looks[decision.look - 1], self.design.max_seeds
        # In full, since the level of a look may be smaller than what is printed elsewhere.
        p = "" if decision.p_value is None else f"p = {decision.p_value:.2g}"
        if decision.outcome == "decided" and cell.contrast is not None:
            kind = "equivalent" if decision.is_same else direction(cell.contrast, Metric.named(cell.metric).better)
            claim = f"the same within {self.question.margin:g} points" if decision.is_same else kind
            among = f", among {cell.among}" if cell.among else ""
            text = f"{claim} at {seeds} seeds ({p}; level of this look {decision.level:.2g}){among}"
            return replace(cell.verdict, kind=kind, words=text, corrected_p=None)
        if decision.p_value is None:
            return cell.verdict
        if decision.outcome == "open" and not self.is_over:
            text = f"not decided yet with {seeds} of up to {most} seeds ({p})"
            return replace(cell.verdict, kind="not decided", words=text, corrected_p=None)
        text = f"not distinguishable with {seeds} seeds ({p})"
        if decision.outcome == "given up":
            text += f"; given up: {most} seeds would decide it with a probability of {decision.chance or 0:.0%}"
        return replace(cell.verdict, kind="not distinguishable", words=text, corrected_p=None)

    def _facts(self) -> Iterator[str]:
        taken = ", ".join(map(str, self.design.looks[: len(self.comparisons)]))
        level = formatting.percent(self.looks.level)
        yield (
            f"looks: after {taken} of up to {self.design.max_seeds} seeds, each at its part of {level};"
            f" intervals hold over all looks and are wider than those of a single look"
        )
        if self.of_outcome("decided"):
            yield "estimates: those of comparisons that were decided early tend to be too far from the baseline"


def replay_looks(records: Sequence[Record], question: Question, design: Design) -> AdaptiveProgress:
    """Return the progress of a design as far as its trials have ended."""
    progress = AdaptiveProgress.begin(question, design)
    while progress.is_ready(records):
        progress = progress.then(records)
    return progress


def summary(progress: AdaptiveProgress, num_trials: int) -> tuple[str, ...]:
    """Return the outcome of a design: what was decided, its cost, that of a fixed design, and what was given up."""
    if not progress.comparisons:
        return (f"No look was taken: {progress.obstacle}.",) if progress.obstacle else ()
    decided, total = len(progress.of_outcome("decided")), len(progress.decisions)
    seeds, rows = progress.num_fixed_seeds, len(progress.comparisons[-1].rows)
    most = progress.design.max_seeds
    cost = f"A fixed design of the same power takes {seeds} seeds each, {seeds * rows} trials."
    return (
        f"{decided} of {total} comparisons decided with {num_trials} trials. {cost}",
        *(
            f"Given up at {progress.seeds_of(key)} seeds: {key[0]}, {key[1]}{_chance(progress.decisions[key], most)}."
            for key in progress.of_outcome("given up")
        ),
        *(f"Not decided at {progress.seeds_of(key)} seeds: {key[0]}, {key[1]}." for key in progress.of_outcome("open")),
    )


def _chance(decision: Decision, most: int) -> str:
    if decision.chance is None:
        return ""
    return f"; {most} seeds would have decided it with a probability of {decision.chance:.0%}"


def without_verdicts(comparison: Comparison, why: str) -> Comparison:
    """Return a comparison without its differences and verdicts."""
    rows = tuple(
        row
        if row.is_baseline
        else replace(
            row,
            learning=_without_test(row.learning, "not tested yet"),
            cells={name: replace(cell, contrast=None, verdict=not_compared(why)) for name, cell in row.cells.items()},
        )
        for row in comparison.rows
    )
    return replace(comparison, rows=rows, num_comparisons=0)


def _evidence(comparison: Comparison) -> Iterator[tuple[Key, Evidence]]:
    for row in comparison.rows:
        for name, cell in row.cells.items():
            if not row.is_baseline:
                yield (row.name, name), _cell_evidence(cell, comparison.margin)


def _cell_evidence(cell: Cell, margin: float | None) -> Evidence:
    contrast, metric = cell.contrast, Metric.named(cell.metric)
    if contrast is None or contrast.p_value is None:
        return Evidence(None)
    same_p = equivalence_p(contrast, margin / POINTS) if margin is not None and metric.unit == "fraction" else None
    return Evidence(contrast.p_value, max(contrast.degrees_of_freedom or 1.0, 1.0), same_p)


def _without_test(learning: Learning, why: str) -> Learning:
    """Return the count of seeds that learned, with ``why`` they were not tested instead of a verdict."""
    if not learning.verdict:
        return learning
    return replace(learning, p_value=None, corrected_p=None, verdict=why)


def _given_up_if_hopeless(comparison: Comparison, key: Key, decision: Decision) -> Decision:
    """Return the decision, given up if the values are all equal, one is missing, or no trial of a row has finished."""
    if decision.outcome != "open":
        return decision
    row = next(row for row in comparison.rows if row.name == key[0])
    has_failed = any(not each.statuses.get("finished") for each in (row, comparison.baseline))
    is_incomplete = any(None in each.cells[key[1]].values.values() for each in (row, comparison.baseline))
    is_equal = row.cells[key[1]].verdict.kind == "equal"
    return replace(decision, outcome="given up") if has_failed or is_incomplete or is_equal else decision


def _cell(comparison: Comparison, key: Key) -> Cell:
    return next(row for row in comparison.rows if row.name == key[0]).cells[key[1]]
