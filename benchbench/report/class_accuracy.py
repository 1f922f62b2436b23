"""The accuracy of each class with its interval, over seeds or over images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare.cells import tested_trials
from benchbench.compare.intervals import summarize, wilson
from benchbench.compare.learning import criterion_of, not_learned
from benchbench.compare.metric_values import Metric
from benchbench.records import file_names
from benchbench.records.metrics import TEST_ACCURACY
from benchbench.report.kept_files import read_per_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.learning import Criterion
    from benchbench.records.record import Record
    from benchbench.report.subject import Subject


@dataclass(frozen=True)
class ClassCell:
    """The test accuracy of one class in one configuration, 0..1, with its interval, and how that was made.

    All three numbers are NaN if no trial has a value, and the ends are if there is no interval.
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
class ClassTable:
    """Classes in their order, their numbers of test images, and a cell for each in each configuration.

    ``criterion`` says of which seeds the accuracies are, if any of a configuration meets it.
    """

    class_names: tuple[str, ...]
    images: tuple[int | None, ...]
    columns: tuple[tuple[ClassCell, ...], ...]
    confidence: float
    criterion: Criterion


def class_table(subject: Subject) -> ClassTable:
    """Return the accuracies by class of all configurations that have finished trials, empty if there are none.

    Over seeds it is Student's interval of the mean, as in the comparison: of the seeds that learned, if others did not.
    A single trial, or seeds that all have the same value, has Wilson's interval over its images.
    """
    confidence = subject.comparison.confidence
    trials = [record for each in subject.configurations for record in each.trials.values()]
    at_chance = not_learned(trials)
    accuracy = Metric.named(TEST_ACCURACY)
    tested = [list(tested_trials(each, each, accuracy, at_chance)[0].values()) for each in subject.configurations]
    class_names = tuple(
        dict.fromkeys(class_name for records in tested for record in records for class_name in record.data.class_names)
    )
    counts = [_image_counts(subject, records) for records in tested]
    columns = tuple(
        tuple(_cell(records, class_name, image_counts.get(class_name), confidence) for class_name in class_names)
        for records, image_counts in zip(tested, counts, strict=True)
    )
    # Classes of two datasets may have the same name, and another number of images in each.
    numbers = {
        class_name: {image_counts.get(class_name) for image_counts in counts} - {None} for class_name in class_names
    }
    images = tuple(each.pop() if len(each) == 1 else None for each in numbers.values())
    return ClassTable(class_names, images, columns, confidence, criterion_of(trials))


def _cell(records: Sequence[Record], class_name: str, num_images: int | None, confidence: float) -> ClassCell:
    tables = [record.final.test_accuracy_per_class for record in records if record.final]
    values = [table[class_name] for table in tables if class_name in table]
    summary = summarize(values, confidence=confidence, scale="fraction")
    if summary.mean is None:
        return ClassCell(math.nan, math.nan, math.nan, "")
    if summary.interval is not None:
        return ClassCell(summary.mean, summary.interval.low, summary.interval.high, "t")
    if not num_images:
        return ClassCell(summary.mean, math.nan, math.nan, "")
    interval = wilson(summary.mean, num_images, confidence=confidence)
    return ClassCell(summary.mean, interval.low, interval.high, "Wilson")


def _image_counts(subject: Subject, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of test images of each class, from the first trial that keeps its table."""
    paths = (subject.artifacts(record) / file_names.PER_CLASS for record in records)
    kept = next((path for path in paths if path.exists()), None)
    return {} if kept is None else {line.class_name: line.images for line in read_per_class(kept)}
