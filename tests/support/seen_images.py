"""Images as a network saw them, as a worker keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchbench.data.kept_images import SeenImages
from benchbench.data.split_arrays import SplitArrays

if TYPE_CHECKING:
    from pathlib import Path


def keep_seen(folder: Path, class_names: tuple[str, ...], *, num_channels: int = 3) -> None:
    """Write twenty grey training images and ten of each other split, of all classes in turn."""
    images = np.full((20, num_channels, 8, 8), 7, np.uint8)
    labels = np.arange(20) % len(class_names)
    some = SplitArrays(images[:10], labels[:10])
    splits = {"train": SplitArrays(images, labels), "val": some, "test": some}
    SeenImages(class_names, splits).save(folder / "seen.npz")
