"""Records to a comparison: rows of configurations, cells of metrics, and what may be concluded from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare.configurations import find_keys, find_row, group, one_per_trial
from benchbench.compare.metrics import Metric, Target, find_metrics, values_of
from benchbench.compare.statistics import Contrast, Summary, contrast, permutation_p, summarise
from benchbench.compare.verdicts import Judge, Verdict, not_compared
from benchbench.compare.warnings import facts, warnings
from benchbench.config.comparison import read_comparison
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.compare.configurations import Configuration
    from benchbench.compare.statistics import Values
    from benchbench.config.comparison import Compare
    from benchbench.records.record import Record

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class Cell:
    """One metric of one configuration.

    ``values`` has the value of each finished trial by seed, or None if the trial never reached the target. Such trials
    ran for at least ``limit`` epochs or seconds. ``summary`` only covers trials with a value. ``median`` counts trials
    without one as longer than all others, and is None if the median trial has none.
    """

    metric: str
    values: dict[str, float | None]
    limit: float | None
    summary: Summary
    median: float | None
    contrast: Contrast | None
    verdict: Verdict

    @property
    def num_reached(self) -> int:
        """Return how many trials have a value."""
        return sum(value is not None for value in self.values.values())


@dataclass(frozen=True)
class Row:
    """One configuration: what makes it one, how its trials ended, its accuracy by validation, its cells by metric."""

    name: str
    where: dict[str, JsonValue]
    statuses: dict[str, int]
    val_accuracy: float | None
    is_baseline: bool
    is_best: bool
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """A table with its verdicts. ``facts`` say where the trials ran, ``warnings`` what makes them hard to compare."""

    by: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    confidence: float
    num_comparisons: int
    facts: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def baseline(self) -> Row:
        """Return the row that the others are compared with."""
        return next(row for row in self.rows if row.is_baseline)


def compare_records(records: Iterable[Record], question: Compare | None = None) -> Comparison:
    """Return the comparison that the question asks for; without one, all that varies by test accuracy.

    The baseline is the configuration whose trials began first unless the question names one; it is not the best,
    since what was chosen for its luck would make the others look worse than they are.
    Raises :class:`SpecError` for a question that these trials have no answer to.
    """
    question = question or read_comparison({})[0]
    trials = one_per_trial(records)
    check_finished(trials)
    keys = find_keys([record.spec for record in trials], question.by)
    rows = group(trials, keys)
    targets = [Target.of(metric, value) for metric, value in question.targets.items()]
    numbers = {record.attempt: values_of(record, targets) for record in trials}
    wanted = (*question.metrics, *(name for target in targets for name in target.names))
    metrics = find_metrics(wanted, list(numbers.values()))
    table = _Table(rows, numbers, find_row(rows, question.baseline), question.confidence)
    cells = table.cells(metrics)
    return Comparison(
        by=keys.rows,
        metrics=metrics,
        rows=table.rows(cells, metrics),
        confidence=question.confidence,
        num_comparisons=sum(cell.contrast is not None and cell.contrast.p_value is not None for cell in cells),
        facts=facts(trials),
        warnings=warnings(rows, metrics, keys),
    )


def check_finished(records: Sequence[Record]) -> None:
    """Raise :class:`SpecError` if no trial has results."""
    if not any(record.status == "finished" for record in records):
        counts = {
            status: sum(record.status == status for record in records) for status in ("failed", "killed", "running")
        }
        endings = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "there are no trials"
        raise SpecError(f"no trial has finished: {endings}", hint="bench runs list shows how far they are")


@dataclass(frozen=True)
class _Table:
    """Rows, the numbers of their trials by attempt, the place of the baseline, and the confidence."""

    configurations: Sequence[Configuration]
    numbers: Mapping[str, Numbers]
    baseline: int
    confidence: float

    def cells(self, metrics: Sequence[Metric]) -> list[Cell]:
        """Return all cells, row by row; their verdicts are corrected for the number of all comparisons."""
        cells = [self._cell(number, metric) for number in range(len(self.configurations)) for metric in metrics]
        num_comparisons = sum(cell.contrast is not None and cell.contrast.p_value is not None for cell in cells)
        judge = Judge(1 - self.confidence, max(num_comparisons, 1))
        judged = [self._with_permutation(cell, judge) for cell in cells]
        corrected = judge.correct([cell.contrast for cell in judged])
        return [
            replace(cell, verdict=judge.verdict(cell.contrast, p, Metric.named(cell.metric).better))
            if cell.contrast
            else cell
            for cell, p in zip(judged, corrected, strict=True)
        ]

    def rows(self, cells: Sequence[Cell], metrics: Sequence[Metric]) -> tuple[Row, ...]:
        """Return the rows with their cells; the best is the one of the highest mean accuracy by validation."""
        accuracies = [self._val_accuracy(number) for number in range(len(self.configurations))]
        best = max(accuracies, key=lambda accuracy: -1.0 if accuracy is None else accuracy)
        return tuple(
            Row(
                name=row.name,
                where=row.where,
                statuses=row.statuses,
                val_accuracy=accuracies[number],
                is_baseline=number == self.baseline,
                is_best=accuracies[number] is not None and number == accuracies.index(best),
                cells={cell.metric: cell for cell in cells[number * len(metrics) : (number + 1) * len(metrics)]},
            )
            for number, row in enumerate(self.configurations)
        )

    def _cell(self, number: int, metric: Metric) -> Cell:
        values = self._values(number, metric)
        known = [value for value in values.values() if value is not None]
        limit = _limit(values, self.configurations[number].finished, metric)
        summary = summarise([value for value in known if math.isfinite(value)], confidence=self.confidence)
        cell = Cell(metric.name, values, limit, summary, _median(values), None, Verdict("baseline", "baseline"))
        if number == self.baseline:
            return cell
        others = self._values(self.baseline, metric)
        why = _obstacle(values, others, metric)
        if why:
            return replace(cell, verdict=not_compared(why))
        change = contrast(_whole(values), _whole(others), as_ratio=metric.is_ratio, confidence=self.confidence)
        return replace(cell, contrast=change)

    def _with_permutation(self, cell: Cell, judge: Judge) -> Cell:
        if cell.contrast is None or cell.contrast.p_value is None:
            return cell
        others = _whole(self._values(self.baseline, Metric.named(cell.metric)))
        level, as_ratio = judge.level / judge.num_comparisons, cell.contrast.is_ratio
        p_value = permutation_p(_whole(cell.values), others, as_ratio=as_ratio, level=level)
        return replace(cell, contrast=replace(cell.contrast, permutation_p=p_value))

    def _values(self, number: int, metric: Metric) -> Numbers:
        finished = self.configurations[number].finished
        return {unit: self.numbers[record.attempt].get(metric.name) for unit, record in finished.items()}

    def _val_accuracy(self, number: int) -> float | None:
        finals = [record.final.val_accuracy for record in self.configurations[number].finished.values() if record.final]
        return math.fsum(finals) / len(finals) if finals else None


def _whole(values: Numbers) -> Values:
    return {unit: value for unit, value in values.items() if value is not None}


def _median(values: Numbers) -> float | None:
    """Return the median, counting missing values as longer than all others; None if it is missing itself."""
    ordered = sorted(math.inf if value is None else value for value in values.values())
    if not ordered:
        return None
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return middle if math.isfinite(middle) else None


def _limit(values: Numbers, finished: Mapping[str, Record], metric: Metric) -> float | None:
    """Return how long the trials without a value went on, the shortest of them."""
    unreached = [finished[unit] for unit, value in values.items() if value is None]
    if not unreached:
        return None
    if metric.unit == "epochs":
        return float(min(len(record.epochs) for record in unreached))
    return min(math.fsum(epoch.train_seconds + epoch.eval_seconds for epoch in record.epochs) for record in unreached)


def _obstacle(ours: Numbers, baseline: Numbers, metric: Metric) -> str:
    """Return why two sets of values cannot be tested against each other, or an empty text."""
    for values, whose in ((ours, "this row"), (baseline, "the baseline")):
        if not values:
            return f"no trial of {whose} has finished"
    if None in ours.values() or None in baseline.values():
        reached = [
            f"{sum(value is not None for value in values.values())} of {len(values)}" for values in (ours, baseline)
        ]
        return f"reached by {reached[0]} trials, in the baseline by {reached[1]}"
    numbers = [*_whole(ours).values(), *_whole(baseline).values()]
    if not all(map(math.isfinite, numbers)):
        return "a value is not finite"
    return "a ratio needs values above 0" if metric.is_ratio and min(numbers) <= 0 else ""
