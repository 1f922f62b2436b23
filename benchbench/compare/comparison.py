"""Records to a comparison: rows of configurations, cells of metrics, and what may be concluded from them."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare.answer import answer
from benchbench.compare.caveats import captions, caveats
from benchbench.compare.cells import CellMaker, fewest_seeds
from benchbench.compare.configurations import (
    configurations_of,
    find_configuration,
    find_keys,
    one_per_trial,
    printed_name,
)
from benchbench.compare.learning import count_learned, criterion_of, fisher_p, not_learned
from benchbench.compare.metric_values import Metric, Target, find_metrics, values_by_attempt
from benchbench.compare.verdicts import POINTS, Judge, with_learning_verdict
from benchbench.config.compare_section import read_comparison
from benchbench.config.design import MIN_SEEDS
from benchbench.config.values import is_match
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.compare.cells import Cell, Numbers
    from benchbench.compare.configurations import Configuration
    from benchbench.compare.learning import Learning
    from benchbench.config.compare_section import Question
    from benchbench.config.spec import Spec
    from benchbench.records.record import Record


@dataclass(frozen=True)
class Row:
    """What is said of one configuration: how its trials ended, how many seeds learned, and its cells by metric.

    ``name``, ``where``, ``lacks``, ``statuses`` and ``val_accuracy``, by which the best row is chosen, are those of its
    :class:`~benchbench.compare.configurations.Configuration`, and ``configurations`` are its ids. The trials are left
    out, since every field of a comparison is printed as JSON.
    """

    name: str
    where: dict[str, JsonValue]
    statuses: dict[str, int]
    learning: Learning
    val_accuracy: float | None
    is_baseline: bool
    is_best: bool
    cells: dict[str, Cell]
    lacks: tuple[str, ...] = ()
    configurations: tuple[str, ...] = ()

    @property
    def display_name(self) -> str:
        """Return the name as it is printed."""
        return printed_name(self.name)

    def has(self, spec: Spec) -> bool:
        """Tell whether a trial of this spec belongs to this row."""
        return is_match(spec, self.where) and spec.flat().keys().isdisjoint(self.lacks)


@dataclass(frozen=True, repr=False)
class Comparison:
    """A table with its verdicts; ``margin`` is in points of accuracy.

    ``facts`` say where the trials ran, ``warnings`` what makes them hard to compare, and ``pooled`` are keys in which
    trials of one row differ, besides the seed. ``level_of_looks`` is the chance of a false verdict in all looks
    together, if there was a look before this one.
    """

    by: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    confidence: float
    margin: float | None
    num_comparisons: int
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    pooled: tuple[str, ...] = ()
    level_of_looks: float | None = None

    @property
    def baseline(self) -> Row:
        """Return the row that the others are compared with."""
        return next(row for row in self.rows if row.is_baseline)

    def __str__(self) -> str:
        """Return the answer, as ``bench compare`` prints it above its tables."""
        return " ".join(answer(self))

    def __repr__(self) -> str:
        """Return the answer: all fields would fill several screens."""
        return f"<{self}>"

    def _repr_html_(self) -> str:
        """Return the answer for a notebook."""
        return f"<p>{html.escape(str(self))}</p>"


def compare_records(records: Iterable[Record], question: Question | None = None) -> Comparison:
    """Return the comparison that the question asks for; without one, all that varies by test accuracy.

    The baseline is the configuration of the first record unless the question names one; it is not the best,
    since what was chosen for its luck would make the others look worse than they are.
    Raises :class:`SpecError` for a question that these trials cannot answer.
    """
    question = question or read_comparison({})[0]
    trials = one_per_trial(records)
    check_finished(trials)
    keys = find_keys([record.spec for record in trials], question.by)
    configurations = configurations_of(trials, keys)
    targets = [Target.of(metric, value) for metric, value in question.targets.items()]
    numbers = values_by_attempt(trials, targets)
    wanted = (*question.metrics, *(name for target in targets for name in target.names))
    metrics = find_metrics(wanted, list(numbers.values()))
    compared_rows = _compare_rows(configurations, numbers, metrics, question, keys.pooled)
    return Comparison(
        by=keys.by,
        metrics=metrics,
        rows=_judged(compared_rows, metrics, question),
        confidence=question.confidence,
        margin=question.margin,
        num_comparisons=len(_p_values(compared_rows)),
        facts=captions(trials),
        warnings=caveats(configurations, metrics, keys),
        pooled=keys.pooled,
    )


def check_finished(records: Sequence[Record]) -> None:
    """Raise :class:`SpecError` if no trial has results."""
    if not any(record.status == "finished" for record in records):
        counts = {
            status: sum(record.status == status for record in records) for status in ("failed", "killed", "running")
        }
        endings = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "there are no trials"
        raise SpecError(f"no trial has finished: {endings}", hint="bench runs list shows how far they are")


def _compare_rows(
    configurations: Sequence[Configuration],
    numbers: Mapping[str, Numbers],
    metrics: Sequence[Metric],
    question: Question,
    pooled: Sequence[str],
) -> tuple[Row, ...]:
    """Return the rows with their numbers and tests, but without verdicts."""
    trials = [record for each in configurations for record in each.trials.values()]
    baseline = find_configuration(configurations, question.baseline, pooled=pooled)
    maker = CellMaker(
        baseline=baseline,
        numbers=numbers,
        at_chance=not_learned(trials),
        criterion=criterion_of(trials),
        confidence=question.confidence,
        level=_permutation_level(configurations, metrics, question),
    )
    best = _best_position([each.val_accuracy for each in configurations])
    return tuple(_row(each, maker, metrics, is_best=number == best) for number, each in enumerate(configurations))


def _row(configuration: Configuration, maker: CellMaker, metrics: Sequence[Metric], *, is_best: bool) -> Row:
    return Row(
        name=configuration.name,
        where=configuration.where,
        statuses=configuration.statuses,
        learning=_learning(configuration, maker),
        val_accuracy=configuration.val_accuracy,
        is_baseline=configuration is maker.baseline,
        is_best=is_best,
        cells={metric.name: maker.cell(configuration, metric) for metric in metrics},
        lacks=configuration.lacks,
        configurations=configuration.ids,
    )


def _learning(configuration: Configuration, maker: CellMaker) -> Learning:
    """Return how many seeds learned, with Fisher's test against the baseline if there are enough."""
    learned, baseline_learned = (
        count_learned(each, maker.at_chance, maker.criterion, confidence=maker.confidence)
        for each in (configuration, maker.baseline)
    )
    if configuration is maker.baseline or fewest_seeds(configuration.trials, maker.baseline.trials) < MIN_SEEDS:
        return learned
    return replace(learned, p_value=fisher_p(learned, baseline_learned, level=1 - maker.confidence))


def _best_position(accuracies: Sequence[float | None]) -> int | None:
    """Return the position of the highest accuracy, or None if there is none."""
    best = max(accuracies, key=lambda accuracy: -1.0 if accuracy is None else accuracy)
    return None if best is None else accuracies.index(best)


def _permutation_level(rows: Sequence[object], metrics: Sequence[Metric], question: Question) -> float:
    """Return the level of a permutation test, which is about one cell of the table."""
    return (1 - question.confidence) / max((len(rows) - 1) * len(metrics), 1)


def _p_values(rows: Sequence[Row]) -> dict[tuple[int, str], float]:
    """Return all p values, which are corrected together, by row and metric; the metric of learning is ``""``."""
    p_values: dict[tuple[int, str], float] = {}
    for number, row in enumerate(rows):
        row_p_values = {name: cell.contrast.p_value for name, cell in row.cells.items() if cell.contrast}
        p_values |= {
            (number, name): p for name, p in {**row_p_values, "": row.learning.p_value}.items() if p is not None
        }
    return p_values


def _judged(rows: Sequence[Row], metrics: Sequence[Metric], question: Question) -> tuple[Row, ...]:
    """Return the rows with their verdicts, corrected for the number of all comparisons."""
    p_values = _p_values(rows)
    margin = None if question.margin is None else question.margin / POINTS
    level = _permutation_level(rows, metrics, question)
    criterion = rows[0].learning.criterion
    judge = Judge(1 - question.confidence, max(len(p_values), 1), level, margin, criterion)
    corrected = dict(zip(p_values, judge.correct(list(p_values.values())), strict=True))
    baseline = next(row for row in rows if row.is_baseline)
    return tuple(
        replace(
            row,
            learning=with_learning_verdict(
                row.learning, corrected.get((number, "")), baseline.learning, level=judge.level
            ),
            cells={
                metric.name: _judged_cell(row.cells[metric.name], corrected.get((number, metric.name)), metric, judge)
                for metric in metrics
            },
        )
        for number, row in enumerate(rows)
    )


def _judged_cell(cell: Cell, corrected_p: float | None, metric: Metric, judge: Judge) -> Cell:
    verdict = cell.verdict
    if cell.contrast:
        has_margin = metric.unit == "fraction"
        verdict = judge.verdict(cell.contrast, corrected_p, metric.better, has_margin=has_margin)
    words = f"{verdict.words}, among {cell.among}" if cell.among else verdict.words
    return replace(cell, verdict=replace(verdict, words=words))
