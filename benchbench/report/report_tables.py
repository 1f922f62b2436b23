"""The tables of a report: the text of each cell, and the value by which it is sorted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.intervals import summarize
from benchbench.compare.metric_values import values_by_attempt
from benchbench.config.defaults import CONFIDENCE
from benchbench.config.values import value_text
from benchbench.records.events import PHASES
from benchbench.records.run_ids import short_id
from benchbench.tracking.address import page_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.records.record import MlflowRun, Record
    from benchbench.report.class_accuracy import ClassTable
    from benchbench.report.subject import Subject


@dataclass(frozen=True)
class SortableCell:
    """A text; ``order`` is the number that it is sorted by, if it is one, and ``link`` the address that it leads to."""

    text: str
    order: float | None = None
    link: str = ""


@dataclass(frozen=True)
class SortableTable:
    """Columns, rows whose first cell names them, and the columns that hold numbers."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[SortableCell, ...], ...]
    numbers: frozenset[int] = field(default_factory=frozenset)


def trial_table(subject: Subject) -> SortableTable:
    """Return every trial, the best by validation first and marked, those without results last."""
    best = subject.best
    records = sorted(subject.records, key=lambda record: record.rank, reverse=True)
    columns = (
        "trial",
        *subject.keys,
        "status",
        "validation accuracy",
        "test accuracy",
        "epochs done",
        "training time (s)",
        "seconds per epoch",
        "run",
    )
    first, values = 1 + len(subject.keys), values_by_attempt(records)
    return SortableTable(
        "trials",
        f"{subject.counts}. * is the best by validation; test results are not used to choose. Click a heading to sort.",
        columns,
        tuple(
            _trial(record, number, subject, values[record.attempt], is_best=record is best)
            for number, record in enumerate(records, start=1)
        ),
        frozenset({0, *_numeric(records, subject.keys), *range(first + 1, first + 6)}),
    )


def time_table(subject: Subject) -> SortableTable:
    """Return where the seconds of each configuration went, means over its finished trials."""
    rows = []
    values = values_by_attempt(subject.records)
    for configuration, name in zip(subject.configurations, subject.names, strict=True):
        records = list(configuration.finished.values())
        times = [record.times for record in records if record.times]
        epochs = [each for record in records if (each := values[record.attempt].get("seconds_per_epoch")) is not None]
        rows.append(
            (
                SortableCell(name),
                SortableCell(str(len(records)), len(records)),
                *(_seconds([seconds.by_phase()[phase] for seconds in times]) for phase in PHASES),
                _seconds([seconds.wall for seconds in times]),
                _seconds(epochs, spread=True),
            )
        )
    columns = ("configuration", "n", *PHASES, "wall", "seconds per epoch ± std")
    caption = (
        "Seconds by phase, means over the finished trials. The phases add up to wall."
        " Seconds per epoch are of training passes without the first, which is often slower, if there are others."
    )
    return SortableTable("times", caption, columns, tuple(rows), frozenset(range(1, len(columns))))


def class_cells(table: ClassTable, subject: Subject) -> SortableTable:
    """Return the accuracy of each class in each configuration."""
    rows = tuple(
        (
            SortableCell(class_name),
            SortableCell("" if images is None else str(images), images),
            *(SortableCell(column[number].text, _order(column[number].accuracy)) for column in table.columns),
        )
        for number, (class_name, images) in enumerate(zip(table.class_names, table.images, strict=True))
    )
    columns = ("class", "test images", *subject.names)
    caption = (
        f"Test accuracy by class with {100 * table.confidence:.6g} % intervals. t: Student's interval of the mean over"
        f" the seeds that {table.criterion}, if any did. Wilson: of a single trial, or seeds that are all"
        " equal, Wilson's interval over the images."
    )
    return SortableTable("classes-table", caption, columns, rows, frozenset(range(1, len(columns))))


def _trial(
    record: Record, number: int, subject: Subject, values: Mapping[str, float | None], *, is_best: bool
) -> tuple[SortableCell, ...]:
    flat, final = record.spec.flat(), record.final
    return (
        SortableCell(f"{number}{' *' if is_best else ''}", number),
        *(_value(flat.get(key), is_there=key in flat) for key in subject.keys),
        SortableCell(_status(record)),
        _percent(final.val_accuracy if final else None),
        _percent(final.test_accuracy if final else None),
        SortableCell(f"{len(record.epochs)} of {record.spec.epochs}", len(record.epochs)),
        _seconds([record.times.train] if record.times else []),
        _seconds([seconds] if (seconds := values.get("seconds_per_epoch")) is not None else []),
        _run(record.mlflow) if record.mlflow else SortableCell(""),
    )


def _run(run: MlflowRun) -> SortableCell:
    """Return the id of a run, as a link if a server has it; without one, that from where an imported run was made."""
    page = page_of(run)
    return SortableCell(short_id(run.run_id if page else run.origin_id or run.run_id), link=page)


def _status(record: Record) -> str:
    if record.status == "finished" or record.error is None:
        return record.status
    return f"{record.status}: {record.error.message}"


def _value(value: JsonValue, *, is_there: bool) -> SortableCell:
    if not is_there:
        return SortableCell("")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return SortableCell(value_text(value), float(value) if is_number else None)  # type: ignore[arg-type]


def _numeric(records: Sequence[Record], keys: Sequence[str]) -> set[int]:
    """Return the columns of keys that are numbers in all trials."""
    flats = [record.spec.flat() for record in records]
    return {
        number
        for number, key in enumerate(keys, start=1)
        if all(_value(flat.get(key), is_there=key in flat).order is not None for flat in flats)
    }


def _percent(fraction: float | None) -> SortableCell:
    return SortableCell("") if fraction is None else SortableCell(f"{fraction:.1%}", _order(fraction))


def _seconds(values: Sequence[float], *, spread: bool = False) -> SortableCell:
    summary = summarize(values, confidence=CONFIDENCE)
    if summary.mean is None:
        return SortableCell("")
    printed = [summary.mean, *([summary.std] if spread and summary.std is not None else [])]
    digits = formatting.decimals(2, *printed)
    return SortableCell(" ± ".join(f"{value:.{digits}f}" for value in printed), _order(summary.mean))


def _order(value: float) -> float | None:
    return value if math.isfinite(value) else None
