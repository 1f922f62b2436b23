"""The tables of a finished trial, each of them a CSV file that its run keeps."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchbench.errors import first_line
from benchbench.records import file_names
from benchbench.records.artifact_files import ClassColumn, LayerColumn, PredictionColumn
from benchbench.records.tracebacks import trace
from benchbench.worker.layer_table import list_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchbench.worker.layer_table import Layer
    from benchbench.worker.splits import TensorSplit

AnyColumn = TypeVar("AnyColumn", bound=StrEnum)

MAX_CONFUSED = 2_000
"""The most classes of which a confusion matrix is kept: one of 20,000 classes takes 3 GB."""


@dataclass(frozen=True)
class PredictedClasses:
    """Each test image's true class, predicted class and its probability, as numbers ``[N]``.

    A prediction of no class is the number of classes.
    """

    class_names: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]

    @staticmethod
    def of(probabilities: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> PredictedClasses:
        """Return the most probable classes.

        probabilities: float32 ``[N, K]`` on the CPU, K at least the number of classes; labels: int64 ``[N]``, the true
        classes.
        """
        probability, predicted = probabilities.max(dim=1)
        no_class = len(class_names)
        return PredictedClasses(
            class_names,
            labels.numpy(),
            # All outputs beyond the classes are one: none of them. So is what is no number.
            predicted.clamp(max=no_class).masked_fill(probability.isnan(), no_class).numpy(),
            probability.numpy(),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the predictions; the last stands for no class, if that occurs."""
        has_other = bool((self.predicted == len(self.class_names)).any())
        return (*self.class_names, file_names.OTHER) if has_other else self.class_names


def save_per_class(path: Path, predictions: PredictedClasses) -> None:
    """Write how many test images of each class were predicted correctly."""
    _write_table(path, ClassColumn, _class_rows(predictions))


def _class_rows(predictions: PredictedClasses) -> Iterable[dict[ClassColumn, object]]:
    for label, name in enumerate(predictions.class_names):
        is_class = predictions.truth == label
        images, correct = int(is_class.sum()), int((predictions.predicted[is_class] == label).sum())
        yield {
            ClassColumn.CLASS: name,
            ClassColumn.IMAGES: images,
            ClassColumn.CORRECT: correct,
            ClassColumn.ACCURACY: correct / images if images else "",
        }


def save_confusion_matrix(path: Path, predictions: PredictedClasses) -> str | None:
    """Write a row for each true class and return None, or the reason why the confusion matrix is left out."""
    num_classes = len(predictions.class_names)
    if num_classes > MAX_CONFUSED:
        return f"no confusion matrix: one of {num_classes:,} classes is too large to be of use"
    counts = np.zeros((num_classes, len(predictions.columns)), dtype=np.int64)
    np.add.at(counts, (predictions.truth, predictions.predicted), 1)
    rows = ((name, *row.tolist()) for name, row in zip(predictions.class_names, counts, strict=True))
    _write_csv(path, (ClassColumn.CLASS, *predictions.columns), rows)
    return None


def save_predictions(path: Path, predictions: PredictedClasses, split: TensorSplit) -> None:
    """Write the prediction for each image of the test split."""
    _write_table(path, PredictionColumn, _prediction_rows(predictions, split))


def _prediction_rows(predictions: PredictedClasses, split: TensorSplit) -> Iterable[dict[PredictionColumn, object]]:
    names, columns = split.names or tuple(f"test {row}" for row in range(len(split))), predictions.columns
    rows = zip(names, predictions.truth, predictions.predicted, predictions.probability, strict=True)
    for name, truth, predicted, probability in rows:
        yield {
            PredictionColumn.IMAGE: name,
            PredictionColumn.CLASS: columns[truth],
            PredictionColumn.PREDICTION: columns[predicted],
            PredictionColumn.PROBABILITY: str(probability),
            PredictionColumn.CORRECT: "yes" if truth == predicted else "no",
        }


def save_layers(path: Path, model: nn.Module, image: Tensor) -> str | None:
    """Write the network's layers as CSV and return None, or the reason why they cannot be listed.

    image: float32 ``[1, C, H, W]``. Shapes are such as ``64x36x36``, without the batch.
    """
    try:
        layers = list_layers(model, image)
    except Exception as error:  # noqa: BLE001 - a plugin's code is passed here; a table is not worth the trial
        trace(error)
        return f"{type(error).__name__}: {first_line(error)}"
    _write_table(path, LayerColumn, map(_layer_row, layers))
    return None


def _layer_row(layer: Layer) -> dict[LayerColumn, object]:
    return {
        LayerColumn.LAYER: layer.name,
        LayerColumn.KIND: layer.kind,
        LayerColumn.OUTPUT: "x".join(map(str, layer.output)),
        LayerColumn.PARAMETERS: layer.parameters,
        LayerColumn.MULTIPLY_ADDS: layer.multiply_adds,
    }


def _write_table(path: Path, columns: type[AnyColumn], rows: Iterable[Mapping[AnyColumn, object]]) -> None:
    """Write rows that have a value for every column; raises :class:`KeyError` for one that lacks one."""
    _write_csv(path, tuple(columns), (tuple(row[column] for column in columns) for row in rows))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
