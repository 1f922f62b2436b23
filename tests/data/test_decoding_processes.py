"""Image files that are decoded by other processes: the same images, the same errors, and nothing left running."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from benchbench_plugins.imagefolder import ImageFolder
from PIL import Image

from benchbench.data import cache as data_cache
from benchbench.data import decoding_processes
from benchbench.data.split_digests import digest_of_split
from benchbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ImageFolder(image_size=8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two classes of twenty images in two formats."""
    rng = np.random.default_rng(0)
    for row in range(40):
        folder = tmp_path / "photos" / f"class {row % 2} \udcff"  # a name that is no UTF-8
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.{'png' if row % 3 else 'jpg'}")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_processes, "MIN_PROCESSORS", 1)


def decoded(photos: Path, folder: Path, *, dataset: ImageFolder = SMALL) -> data_cache.LoadedDataset:
    return data_cache.decode(dataset, photos, folder=folder)


def test_helpers_decode_the_same_images(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_threads = decoded(photos, tmp_path / "threads")
    before = len(psutil.Process().children())
    monkeypatch.setattr(decoding_processes, "MIN_IMAGES", 1)
    by_helpers = decoded(photos, tmp_path / "helpers")
    assert by_helpers.facts == by_threads.facts
    for part, split in by_helpers.splits.items():
        assert by_helpers.facts.splits[part].digest == digest_of_split(split)
    assert len(psutil.Process().children()) == before


def test_helpers_decode_whatever_the_fit(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "pixels"
    target.write_bytes(bytes(3 * 8 * 8))
    (path, *_) = sorted(file.relative_to(photos).as_posix() for file in photos.rglob("*.png"))
    asked = decoding_processes.Request(str(photos), [path], [0], 8, "pad", (1, 2, 3), str(target), 0)
    helper = decoding_processes.Helpers(10**9, 10**9)
    assert helper.decode(asked) == []
    helper.close()
    assert len(set(target.read_bytes())) > 3


def test_damaged_files_are_named_as_without_helpers(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = sorted(photos.rglob("*.png"))[3]
    damaged.write_bytes(damaged.read_bytes()[:60])
    messages = []
    for number in (10**9, 1):
        monkeypatch.setattr(decoding_processes, "MIN_IMAGES", number)
        with pytest.raises(DataError) as refused:
            decoded(photos, tmp_path / str(number))
        messages.append(refused.value.message)
    assert messages[0] == messages[1]
    assert damaged.name in messages[0]
    skipping = ImageFolder(image_size=8, on_damaged="skip")
    loaded = decoded(photos, tmp_path / "skipped", dataset=skipping)
    assert len(loaded.facts.skipped) == 1
    assert sum(map(len, loaded.splits.values())) == 39
    for part, split in loaded.splits.items():
        assert loaded.facts.splits[part].digest == digest_of_split(split)


def test_without_helpers_that_live_the_threads_decode(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = decoded(photos, tmp_path / "threads").facts
    monkeypatch.setattr(decoding_processes, "MIN_IMAGES", 1)
    for program in ("/bin/false", str(tmp_path / "no such program")):
        monkeypatch.setattr(sys, "executable", program)
        assert decoded(photos, tmp_path / program.rpartition("/")[2]).facts == expected
