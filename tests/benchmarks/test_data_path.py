"""From files to batches, against ImageFolder and DataLoader."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from benchmarks.interleaved_rounds import CLOCK, InterleavedRounds, column, reported
from benchmarks.ratios import NotRun, Row

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.benchmark(timer=CLOCK)
OTHERS = "ImageFolder, DataLoader"


def test_images_are_decoded_loaded_and_batched(
    rounds: InterleavedRounds, images: Path, tinyimage10_zip: Path, rows: list[Row | NotRun]
) -> None:
    paths = ("--folder", images, "--archive", tinyimage10_zip)
    plain = partial(reported, "plain_images.py", *paths)
    ours, others = rounds(partial(reported, "our_images.py", *paths), {OTHERS: plain}, rounds=5)
    for measured, measure in (
        ("all 5,000 images decoded, the first time", "decode"),
        ("ready for the first batch, every later time", "load"),
        ("4,000 images as batches of 12, 150x150", "seconds"),
    ):
        rows.append(Row(measured, OTHERS, column(ours, measure), column(others[OTHERS], measure)))
