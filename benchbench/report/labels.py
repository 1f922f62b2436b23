"""How well each label is told, over seeds or over images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare.statistics import summarise, wilson
from benchbench.records import files
from benchbench.report.figures import read_per_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.records.record import Record
    from benchbench.report.subject import Subject


@dataclass(frozen=True)
class LabelCell:
    """The test accuracy of one label in one configuration, 0..1, with its interval, and how that was made.

    All three numbers are NaN where no trial has a value; the ends alone where there is no interval.
    """

    accuracy: float
    low: float
    high: float
    method: str

    @property
    def text(self) -> str:
        """Return such as ``75.0 % (61.2 .. 85.1, t)``."""
        if math.isnan(self.accuracy):
            return "no value"
        ends = f" ({100 * self.low:.1f} .. {100 * self.high:.1f}, {self.method})" if self.method else ""
        return f"{100 * self.accuracy:.1f} %{ends}"


@dataclass(frozen=True)
class LabelTable:
    """Labels in their order, their numbers of test images, and a cell for each in each configuration."""

    labels: tuple[str, ...]
    images: tuple[int | None, ...]
    columns: tuple[tuple[LabelCell, ...], ...]
    confidence: float


def label_table(subject: Subject) -> LabelTable:
    """Return the accuracies by label of all configurations that have finished trials, empty where there are none.

    Over seeds it is Student's interval of the mean, as in the comparison. A single trial, or seeds that all have the
    same value, has Wilson's interval over its images.
    """
    confidence = subject.comparison.confidence
    rows = [list(row.finished.values()) for row in subject.rows]
    labels = tuple(dict.fromkeys(label for records in rows for record in records for label in record.data.class_names))
    counts = [_image_counts(subject, records) for records in rows]
    columns = tuple(
        tuple(_cell(records, label, of_row.get(label), confidence) for label in labels)
        for records, of_row in zip(rows, counts, strict=True)
    )
    images = {label: number for of_row in counts for label, number in of_row.items()}
    return LabelTable(labels, tuple(images.get(label) for label in labels), columns, confidence)


def _cell(records: Sequence[Record], label: str, num_images: int | None, confidence: float) -> LabelCell:
    tables = [record.final.test_accuracy_per_class for record in records if record.final]
    values = [table[label] for table in tables if label in table]
    summary = summarise(values, confidence=confidence)
    if summary.mean is None:
        return LabelCell(math.nan, math.nan, math.nan, "")
    if summary.interval is not None:
        return LabelCell(summary.mean, max(summary.interval.low, 0.0), min(summary.interval.high, 1.0), "t")
    if not num_images:
        return LabelCell(summary.mean, math.nan, math.nan, "")
    found = wilson(summary.mean, num_images, confidence=confidence)
    return LabelCell(summary.mean, found.low, found.high, "Wilson")


def _image_counts(subject: Subject, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of test images of each label, from the first trial that keeps its table."""
    paths = (subject.artifacts(record) / files.PER_CLASS for record in records)
    found = next((path for path in paths if path.exists()), None)
    return {} if found is None else {line.label: line.images for line in read_per_class(found)}
