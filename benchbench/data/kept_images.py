"""The images that a run keeps to be drawn: ``samples.npz`` and ``seen.npz``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.data.split_arrays import SPLIT_NAMES, SplitArrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """The content of ``samples.npz``: raw images of the training split, and of the test split with their predictions.

    Images are uint8 ``[N, C, H, W]``. Labels are rows of ``class_names``, and predictions rows of ``prediction_names``,
    both int64 ``[N]``; the probabilities of the predictions are float32 ``[N]``.
    """

    class_names: NDArray[np.str_]
    prediction_names: NDArray[np.str_]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    test_predictions: NDArray[np.int64]
    test_probabilities: NDArray[np.float32]
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write the file."""
        np.savez_compressed(path, **vars(self))

    @staticmethod
    def load(path: Path) -> Samples:
        """Return the content of a file; what numpy raises for a damaged one is passed on."""
        with np.load(path, allow_pickle=False) as arrays:
            return Samples(**{field.name: arrays[field.name] for field in fields(Samples)})


@dataclass(frozen=True)
class SeenImages:
    """The content of ``seen.npz``: images of each split, by its name, as the network saw them."""

    class_names: Sequence[str]
    splits: dict[str, SplitArrays]

    def save(self, path: Path) -> None:
        """Write the file."""
        arrays: dict[str, Any] = {"class_names": np.array(self.class_names)}
        for name, split in self.splits.items():
            images, labels = _array_names(name)
            arrays |= {images: split.images, labels: split.labels}
        np.savez_compressed(path, **arrays)

    @staticmethod
    def load(path: Path, split_names: Sequence[str] = SPLIT_NAMES) -> SeenImages:
        """Return some splits of a file, of those that it has; what numpy raises for a damaged file is passed on."""
        with np.load(path, allow_pickle=False) as arrays:
            names = {name: _array_names(name) for name in split_names}
            splits = {
                name: SplitArrays(arrays[images], arrays[labels])
                for name, (images, labels) in names.items()
                if images in arrays
            }
            return SeenImages(arrays["class_names"].tolist(), splits)


def _array_names(split_name: str) -> tuple[str, str]:
    """Return the names of a split's images and labels. Older files have training images alone, without a prefix."""
    prefix = "" if split_name == "train" else f"{split_name}_"
    return f"{prefix}images", f"{prefix}labels"
