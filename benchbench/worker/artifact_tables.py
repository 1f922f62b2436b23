"""Tables of a finished trial's predictions, and the images that are kept to be drawn."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from benchbench.data.kept_images import Samples, SeenImages
from benchbench.data.split_arrays import SplitArrays
from benchbench.errors import first_line
from benchbench.records import file_names
from benchbench.records.artifact_files import ClassColumn, LayerColumn, PredictionColumn, kept_at
from benchbench.records.tracebacks import trace
from benchbench.worker.layer_table import list_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.worker.batches import Batches
    from benchbench.worker.layer_table import Layer
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.splits import TensorSplit, TensorSplits

AnyColumn = TypeVar("AnyColumn", bound=StrEnum)

_NUM_TEST_IMAGES = 16
_NUM_IMAGES_PER_CLASS = 4
_NUM_SEEN_IMAGES = 20
_NUM_SEEN_IN_EVALUATION = 10
_MAX_TRAIN_IMAGES = 400
"""Of many classes, the first ones are kept: a report shows no more."""


MAX_CONFUSED = 2_000
"""The most classes of which a confusion matrix is kept: one of 20,000 classes takes 3 GB."""


@dataclass(frozen=True)
class PredictedProbabilities:
    """The model's predictions for the test images, on the CPU.

    probabilities: float32 ``[N, K]``, K at least the number of classes; labels: int64 ``[N]``, the true ones.
    """

    probabilities: Tensor
    labels: Tensor


def write_tables(
    folder: Path, *, predictions: PredictedProbabilities, splits: TensorSplits, level: ArtifactLevel
) -> list[str]:
    """Write the tables and the raw images of a level into ``folder``; return notes on what is left out."""
    kept, table, notes = kept_at(level), _Table.of(predictions, splits), []
    folder.mkdir(parents=True, exist_ok=True)
    if file_names.PER_CLASS in kept:
        _write_table(folder / file_names.PER_CLASS, ClassColumn, table.per_class())
    if file_names.CONFUSION_MATRIX in kept:
        notes += _write_confusion_matrix(folder / file_names.CONFUSION_MATRIX, table)
    if file_names.PREDICTIONS in kept:
        _write_table(folder / file_names.PREDICTIONS, PredictionColumn, table.predictions(splits.test))
    if file_names.SAMPLES in kept:
        _save_samples(folder / file_names.SAMPLES, table, splits)
    return notes


def _write_confusion_matrix(path: Path, table: _Table) -> list[str]:
    """Write the confusion matrix, or return a note that it is left out."""
    num_classes = len(table.class_names)
    if num_classes > MAX_CONFUSED:
        return [f"no confusion matrix: one of {num_classes:,} classes is too large to be of use"]
    _write_csv(path, (ClassColumn.CLASS, *table.columns), table.confusion_matrix())
    return []


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


def save_seen(path: Path, ready: ReadyTrial, *, seed: int) -> None:
    """Write the first training images, and some from all over the other splits, as the network saw them.

    A mixed image has the class of its largest fraction.
    """
    images, labels = ready.train.seen(_NUM_SEEN_IMAGES, seed=seed)
    classes = labels if labels.ndim == 1 else labels.argmax(dim=1)
    splits = {
        "train": SplitArrays(images.numpy(), classes.numpy()),
        "val": _seen_in_evaluation(ready.val),
        "test": _seen_in_evaluation(ready.test),
    }
    SeenImages(ready.splits.class_names, splits).save(path)


def _seen_in_evaluation(batches: Batches) -> SplitArrays:
    count = min(_NUM_SEEN_IN_EVALUATION, batches.num_images)
    rows = _spread(np.arange(batches.num_images), count)
    images, labels = batches.seen_in_evaluation(torch.from_numpy(rows))
    return SplitArrays(images.numpy(), labels.numpy())


@dataclass(frozen=True)
class _Table:
    """Each test image's true class, predicted class and its probability, as numbers."""

    class_names: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]

    @staticmethod
    def of(predictions: PredictedProbabilities, splits: TensorSplits) -> _Table:
        probability, predicted = predictions.probabilities.max(dim=1)
        no_class = len(splits.class_names)
        return _Table(
            splits.class_names,
            predictions.labels.numpy(),
            # All outputs beyond the classes are one: none of them. So is what is no number.
            predicted.clamp(max=no_class).masked_fill(probability.isnan(), no_class).numpy(),
            probability.numpy(),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the predictions; the last stands for no class, if that occurs."""
        has_other = bool((self.predicted == len(self.class_names)).any())
        return (*self.class_names, file_names.OTHER) if has_other else self.class_names

    def per_class(self) -> Iterable[dict[ClassColumn, object]]:
        for label, name in enumerate(self.class_names):
            is_class = self.truth == label
            images, correct = int(is_class.sum()), int((self.predicted[is_class] == label).sum())
            yield {
                ClassColumn.CLASS: name,
                ClassColumn.IMAGES: images,
                ClassColumn.CORRECT: correct,
                ClassColumn.ACCURACY: correct / images if images else "",
            }

    def confusion_matrix(self) -> Iterable[tuple[object, ...]]:
        counts = np.zeros((len(self.class_names), len(self.columns)), dtype=np.int64)
        np.add.at(counts, (self.truth, self.predicted), 1)
        for name, row in zip(self.class_names, counts, strict=True):
            yield name, *row.tolist()

    def predictions(self, split: TensorSplit) -> Iterable[dict[PredictionColumn, object]]:
        names, columns = split.names or tuple(f"test {row}" for row in range(len(split))), self.columns
        rows = zip(names, self.truth, self.predicted, self.probability, strict=True)
        for name, truth, predicted, probability in rows:
            yield {
                PredictionColumn.IMAGE: name,
                PredictionColumn.CLASS: columns[truth],
                PredictionColumn.PREDICTION: columns[predicted],
                PredictionColumn.PROBABILITY: str(probability),
                PredictionColumn.CORRECT: "yes" if truth == predicted else "no",
            }


def _write_table(path: Path, columns: type[AnyColumn], rows: Iterable[Mapping[AnyColumn, object]]) -> None:
    """Write rows that have a value for every column; raises :class:`KeyError` for one that lacks one."""
    _write_csv(path, tuple(columns), (tuple(row[column] for column in columns) for row in rows))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _save_samples(path: Path, table: _Table, splits: TensorSplits) -> None:
    chosen = choose_test_images(table.truth == table.predicted)
    labels = splits.train.labels.numpy()
    shown = np.concatenate(
        [np.flatnonzero(labels == label)[:_NUM_IMAGES_PER_CLASS] for label in range(len(splits.class_names))]
    )[:_MAX_TRAIN_IMAGES]
    samples = Samples(
        class_names=np.array(splits.class_names),
        prediction_names=np.array(table.columns),
        test_images=splits.test.images[chosen].numpy(),
        test_labels=table.truth[chosen],
        test_predictions=table.predicted[chosen],
        test_probabilities=table.probability[chosen],
        train_images=splits.train.images[shown].numpy(),
        train_labels=labels[shown],
    )
    samples.save(path)


def choose_test_images(is_correct: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of sixteen images, or of all if there are fewer: half right, half wrong if possible.

    They are spread evenly over the split, so that a split sorted by class shows many classes.
    """
    right, wrong = np.flatnonzero(is_correct), np.flatnonzero(~is_correct)
    half = _NUM_TEST_IMAGES // 2
    num_right = min(len(right), max(half, _NUM_TEST_IMAGES - len(wrong)))
    num_wrong = min(len(wrong), _NUM_TEST_IMAGES - num_right)
    return np.concatenate([_spread(right, num_right), _spread(wrong, num_wrong)])


def _spread(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return numbers[(np.arange(count) * len(numbers) + len(numbers) // 2) // max(count, 1)]
