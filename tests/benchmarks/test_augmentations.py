"""Augmentations that draw for each image, against torchvision's image by image, and kornia's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from benchmarks.interleaved_rounds import CLOCK, InterleavedRounds, column, reported
from benchmarks.ratios import NotRun, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.interleaved_rounds import Sample

pytestmark = pytest.mark.benchmark(timer=CLOCK)
NAMES = (
    "flip",
    "crop_flip",
    "random_resized_crop",
    "color_jitter",
    "random_erasing",
    "trivial_augment",
    "rand_augment",
)
OTHERS = {"torchvision": "transforms.v2, per image", "kornia": "kornia"}


@pytest.mark.parametrize("name", NAMES)
def test_an_augmentation_of_small_batches(rounds: InterleavedRounds, rows: list[Row | NotRun], name: str) -> None:
    def measured_by(side: str) -> Callable[[], Sample]:
        return partial(reported, "augmentations.py", side, name)

    others = {label: measured_by(side) for side, label in OTHERS.items()}
    ours, theirs = rounds(measured_by("benchbench"), others, rounds=3)
    rows.extend(
        Row(f"`{name}`, 20 batches of 32, 64x64", label, column(ours), column(samples))
        for label, samples in theirs.items()
    )
