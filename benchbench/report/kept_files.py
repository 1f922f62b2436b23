"""Reads the tables and the test images that the run of a trial keeps.

Nobody has checked those of imported runs, so that the error for a damaged file names it.
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchbench.data.kept_images import Samples
from benchbench.errors import TrackingError
from benchbench.records.artifact_files import ClassColumn
from benchbench.records.zip_errors import ZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what an odd file raises into a :class:`~benchbench.errors.TrackingError` with its name."""
    try:
        yield
    except (*ZIP_ERRORS, csv.Error, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        raise TrackingError(
            f"the {path.name} that a run keeps is damaged: {type(error).__name__}: {error}",
            hint="--debug shows where; delete the run in MLflow to leave it out",
        ) from error


@dataclass(frozen=True)
class ClassRow:
    """One line of ``per_class.csv``."""

    class_name: str
    images: int
    accuracy: float


@dataclass(frozen=True)
class PredictedImage:
    """A test image, uint8 ``[C, H, W]``, with its class and what the model predicted."""

    image: NDArray[np.uint8]
    class_name: str
    prediction: str
    probability: float

    @property
    def is_correct(self) -> bool:
        """Tell whether the model was right."""
        return self.class_name == self.prediction


def read_per_class(path: Path) -> list[ClassRow]:
    """Return the lines of ``per_class.csv``; the accuracy of a class without images is NaN."""
    with damage_named(path), path.open(encoding="utf-8", newline="") as file:
        return [
            ClassRow(row[ClassColumn.CLASS], int(row[ClassColumn.IMAGES]), float(row[ClassColumn.ACCURACY] or "nan"))
            for row in csv.DictReader(file)
        ]


def read_confusion_matrix(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64]]:
    """Return the true classes, the predictions and the counts ``[true, predicted]`` of ``confusion_matrix.csv``."""
    with damage_named(path), path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
        counts = np.array([[int(value) for value in row[1:]] for row in rows], dtype=np.int64)
    return tuple(row[0] for row in rows), tuple(header[1:]), counts


def read_predicted_images(path: Path) -> list[PredictedImage]:
    """Return the test images that the worker saved for the figures."""
    with damage_named(path):
        samples = Samples.load(path)
        rows = zip(
            samples.test_images,
            samples.class_names[samples.test_labels],
            samples.prediction_names[samples.test_predictions],
            samples.test_probabilities,
            strict=True,
        )
        return [
            PredictedImage(image, str(class_name), str(prediction), float(probability))
            for image, class_name, prediction, probability in rows
        ]
