"""Images that a finished trial keeps for figures: raw ones, and some as the network saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from benchbench.data.kept_images import Samples, SeenImages
from benchbench.data.split_arrays import SplitArrays

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchbench.worker.artifact_tables import PredictedClasses
    from benchbench.worker.batches import Batches
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.splits import TensorSplits

_NUM_TEST_IMAGES = 16
_NUM_IMAGES_PER_CLASS = 4
_NUM_SEEN_IMAGES = 20
_NUM_SEEN_IN_EVALUATION = 10
_MAX_TRAIN_IMAGES = 400
"""Of many classes, the first ones are kept: a report shows no more."""


def save_samples(path: Path, predictions: PredictedClasses, splits: TensorSplits) -> None:
    """Write raw test images with their predictions, and raw training images of each class."""
    chosen = choose_test_images(predictions.truth == predictions.predicted)
    labels = splits.train.labels.numpy()
    shown = np.concatenate(
        [np.flatnonzero(labels == label)[:_NUM_IMAGES_PER_CLASS] for label in range(len(splits.class_names))]
    )[:_MAX_TRAIN_IMAGES]
    samples = Samples(
        class_names=np.array(splits.class_names),
        prediction_names=np.array(predictions.columns),
        test_images=splits.test.images[chosen].numpy(),
        test_labels=predictions.truth[chosen],
        test_predictions=predictions.predicted[chosen],
        test_probabilities=predictions.probability[chosen],
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


def _spread(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return numbers[(np.arange(count) * len(numbers) + len(numbers) // 2) // max(count, 1)]
