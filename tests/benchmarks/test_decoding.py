"""From photographs to the cache, against Pillow alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks.interleaved_rounds import CLOCK, InterleavedRounds, column, reported
from benchmarks.ratios import NotRun, Row
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.benchmark(timer=CLOCK)
OTHERS = "Pillow, a process a core, nothing kept"
NUMBER, NUM_DIFFERENT = 50_000, 1000


@pytest.fixture
def photos(tmp_path: Path, rounds: InterleavedRounds) -> Path:
    """Return a folder of photographs of 224x224 with two classes: some different ones, each under many names."""
    rng = np.random.default_rng(0)
    for row in range(200 if rounds.quick else NUMBER):
        folder = tmp_path / f"class{row % 2}"
        folder.mkdir(exist_ok=True)
        path, original = (folder / f"{number:05}.jpg" for number in (row, row % NUM_DIFFERENT))
        if row < NUM_DIFFERENT:
            noise = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
            noise.resize((224, 224), Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.hardlink_to(original)
    return tmp_path


def test_photographs_are_decoded_into_the_cache(
    rounds: InterleavedRounds, photos: Path, rows: list[Row | NotRun]
) -> None:
    ours, others = rounds(
        partial(reported, "our_photos.py", photos), {OTHERS: partial(reported, "pillow_photos.py", photos)}, rounds=5
    )
    for measured, measure in (("decoded", "seconds"), ("decoded, processor time", "processor_seconds")):
        sides = column(ours, measure), column(others[OTHERS], measure)
        rows.append(Row(f"{NUMBER:,} photographs of 224x224 {measured}", OTHERS, *sides))
