"""How many images are in two splits, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from benchbench_plugins.imagefolder import ImageFolder
from PIL import Image

from benchbench.data import cache as data_cache
from benchbench.data.shared_images import shared_images
from benchbench.data.split_arrays import SplitArrays

if TYPE_CHECKING:
    from pathlib import Path


def test_images_in_two_splits_are_counted_for_each_two() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 20, 20), dtype=np.uint8)
    rows = {"train": [0, 1, 2, 3, 3], "val": [3, 4, 4, 3], "test": [5, 4, 6, 7, 8]}
    splits = {name: SplitArrays(images[of], np.zeros(len(of), np.int64)) for name, of in rows.items()}
    assert list(map(str, shared_images(splits))) == [
        "2 of 4 val images are in train as well",
        "1 of 5 test images are in val as well",
    ]


def test_images_that_are_alike_in_their_middle_only_are_others() -> None:
    images = np.zeros((3, 1, 30, 30), dtype=np.uint8)
    images[:, 0, 0, 0] = (1, 2, 3)
    splits = {
        name: SplitArrays(images[[row]], np.zeros(1, np.int64)) for row, name in enumerate(("train", "val", "test"))
    }
    assert shared_images(splits) == []


def test_copies_of_photographs_are_told_of_wherever_they_went(tmp_path: Path) -> None:
    for row in range(20):
        for name, shade in (("cat", 10 * row), ("dog", 10 * row + 5)):
            (tmp_path / name).mkdir(exist_ok=True)
            for copy in ("", " (1)"):
                Image.new("L", (8, 8), shade).save(tmp_path / name / f"{row}{copy}.png")
    facts = data_cache.load(ImageFolder(image_size=8), tmp_path).facts
    assert "of 8 val images are in train as well; " in facts.note
    assert "of 8 test images are in train as well" in facts.note
