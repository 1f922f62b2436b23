"""Made images: any shape, the same everywhere, and learnable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchbench_plugins.synthetic import Synthetic

from benchbench.data import cache as data_cache
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"num_train": 60, "num_val": 20, "num_test": 20, "num_classes": 4}


def loaded(tmp_path: Path, **params: Any) -> data_cache.LoadedDataset:
    return data_cache.decode(Synthetic(**(SMALL | params)), tmp_path)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 7, 19), (5, 2, 3)])
def test_it_keeps_the_promises_of_all_datasets(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    dataset = Synthetic(channels=channels, height=height, width=width, **SMALL)
    check_dataset(dataset, tmp_path)
    assert data_cache.decode(dataset, tmp_path).facts.image_shape == shape


def test_the_images_are_the_same_on_every_machine(tmp_path: Path) -> None:
    assert loaded(tmp_path).facts.digest == loaded(tmp_path).facts.digest
    assert loaded(tmp_path).facts.digest == "ceba801eb6c69d7bb879b948a6df642e"
    assert loaded(tmp_path, data_seed=1).facts.digest != loaded(tmp_path).facts.digest


def test_more_images_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    few, many = (loaded(tmp_path, num_train=number).splits["train"].images for number in (10, 20))
    assert np.array_equal(few, many[:10])


def test_the_class_of_an_image_can_be_told_from_it(tmp_path: Path) -> None:
    splits = loaded(tmp_path).splits
    train, test = splits["train"], splits["test"]
    means = np.stack([train.images[train.labels == label].mean(axis=0) for label in range(4)])
    distances = ((test.images[:, None].astype(float) - means) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == test.labels).all()
