"""The images that a run keeps to be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchbench.data.kept_images import Samples, SeenImages
from benchbench.data.split_arrays import SplitArrays

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("goldfish", "cat, Persian")


def images(number: int) -> np.ndarray:
    return np.arange(number, dtype=np.uint8)[:, None, None, None].repeat(3, axis=1)


def split(number: int) -> SplitArrays:
    return SplitArrays(images(number), np.arange(number) % 2)


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    names, numbers = np.array(CLASSES), np.array([0, 1])
    samples = Samples(names, names, images(2), numbers, numbers[::-1], np.float32([0.5, 0.7]), images(4), numbers)
    samples.save(tmp_path / "samples.npz")
    read = Samples.load(tmp_path / "samples.npz")
    for name, value in vars(samples).items():
        np.testing.assert_array_equal(getattr(read, name), value)


def test_images_of_each_split_are_read_as_they_were_written(tmp_path: Path) -> None:
    SeenImages(CLASSES, {"train": split(4), "val": split(3), "test": split(2)}).save(tmp_path / "seen.npz")
    read = SeenImages.load(tmp_path / "seen.npz")
    assert tuple(read.class_names) == CLASSES
    assert {name: kept.images[:, 0, 0, 0].tolist() for name, kept in read.splits.items()} == {
        "train": [0, 1, 2, 3],
        "val": [0, 1, 2],
        "test": [0, 1],
    }
    assert list(SeenImages.load(tmp_path / "seen.npz", ("test",)).splits) == ["test"]


def test_a_file_of_an_older_version_has_training_images_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "seen.npz", class_names=np.array(CLASSES), images=images(2), labels=np.array([0, 1]))
    assert list(SeenImages.load(tmp_path / "seen.npz").splits) == ["train"]
