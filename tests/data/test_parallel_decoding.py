"""Images that are decoded in parallel into files: progress, interruptions, damage."""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import benchbench as bb
from benchbench.data import cache as data_cache
from benchbench.data import damaged_images, parallel_decoding
from benchbench.data.split_digests import digest_of_split
from benchbench.errors import DataError
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


class Interrupt(BaseException):
    """What ends a call in the middle."""


class Shades(bb.Dataset, name="shades"):
    """Each image has the shade of its row; ``damaged`` rows of each split cannot be read."""

    image_size: int = 4
    number: int = bb.param(200, "images in each split")
    damaged: tuple[int, ...] = bb.param((), "rows")
    skip: bool = bb.param(False, "leaves damaged images out")

    def sources(self, root: Path) -> tuple[Path, ...]:
        return ()

    def load(self, root: Path) -> bb.Splits:
        part = self._split(root)
        return bb.Splits(part, part, part, ("even", "odd"))

    def _split(self, root: Path) -> bb.Split:
        log = root / "rows"

        def read(row: int) -> NDArray[np.uint8]:
            if row in self.damaged:
                raise ValueError(f"row {row} is torn")
            with log.open("a") as file:
                file.write(f"{row}\n")
            return np.full((3, 4, 4), row % 256, dtype=np.uint8)

        files = tuple(f"file {row}" for row in range(self.number))
        images = bb.LazyImages(read, (self.number, 3, 4, 4), files, skip_damaged=self.skip, hint="mend them")
        return bb.Split(images, np.arange(self.number) % 2, files)


def num_read(root: Path) -> int:
    log = root / "rows"
    return len(log.read_text().splitlines()) if log.exists() else 0


def shades(split: Any) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_decoding, "ROWS_PER_JOB", 8)
    monkeypatch.setattr(parallel_decoding, "SECONDS_BETWEEN_REPORTS", 0)


def test_lazy_images_keep_the_promises_of_all_datasets(tmp_path: Path) -> None:
    class Noise(Shades, name="noise"):
        def load(self, root: Path) -> bb.Splits:
            return bb.Splits(self._part(1), self._part(2), self._part(3), ("even", "odd"))

        def _part(self, seed: int) -> bb.Split:
            images = np.random.default_rng(seed).integers(0, 256, (8, 3, 4, 4), dtype=np.uint8)
            return bb.Split(bb.LazyImages(images.__getitem__, (8, 3, 4, 4), ("x",) * 8), np.arange(8) % 2)

    check_dataset(Noise(), tmp_path)


def test_lazy_images_are_decoded_once_and_mapped_from_then_on(tmp_path: Path) -> None:
    first = data_cache.load(Shades(), tmp_path)
    again = data_cache.load(Shades(), tmp_path)
    assert num_read(tmp_path) == 600
    assert shades(again.splits["val"]) == list(range(200))
    assert len(again.mappings) == 3
    assert first.facts == again.facts


def test_the_digest_is_that_of_the_same_images_in_memory(tmp_path: Path) -> None:
    assert data_cache.load(Shades(), tmp_path).facts == data_cache.decode(Shades(), tmp_path).facts


def test_progress_is_told_to_the_last_image(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    data_cache.load(Shades(), tmp_path, on_progress=lambda *numbers: told.append(numbers))
    assert told == sorted(told)
    assert len(told) > 10
    assert told[-1] == (600, 600)


def interrupt_after(number: int) -> Any:
    def on_progress(num_decoded: int, num_images: int) -> None:
        del num_images
        if num_decoded >= number:
            raise Interrupt

    return on_progress


def test_an_interrupted_call_is_resumed_by_the_next(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        data_cache.load(Shades(), tmp_path, on_progress=interrupt_after(300))
    before = num_read(tmp_path)
    told: list[tuple[int, int]] = []
    loaded = data_cache.load(Shades(), tmp_path, on_progress=lambda *numbers: told.append(numbers))
    assert 300 <= before < 600
    assert num_read(tmp_path) == 600
    assert told[0][0] > before
    assert [shades(split) for split in loaded.splits.values()] == [list(range(200))] * 3
    assert not list(data_cache.dataset_folder("shades").glob("*.partial"))


def test_after_a_restart_of_the_system_nothing_half_made_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupt):
        data_cache.load(Shades(), tmp_path, on_progress=interrupt_after(300))
    before = num_read(tmp_path)
    monkeypatch.setattr(parallel_decoding, "_boot_id", lambda: "another start")
    data_cache.load(Shades(), tmp_path)
    assert num_read(tmp_path) == before + 600


def test_what_was_interrupted_is_dropped_once_something_else_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        data_cache.load(Shades(), tmp_path, on_progress=interrupt_after(300))
    data_cache.load(Shades(number=3), tmp_path)
    assert not list(data_cache.dataset_folder("shades").glob("*.partial"))


def test_damaged_images_are_all_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data_cache.load(Shades(damaged=(3, 150)), tmp_path)
    assert caught.value.message.startswith("6 images cannot be read: file 3 (ValueError: row 3 is torn), file 150 (")
    assert caught.value.hint == "mend them"


def test_more_damaged_images_than_a_message_names_are_all_listed_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data_cache.load(Shades(damaged=tuple(range(100, 130))), tmp_path)
    message, _, path = caught.value.message.partition("; all are listed in ")
    assert message.startswith("90 images cannot be read: file 100 (")
    assert message.endswith("file 119 (ValueError: row 119 is torn), and 70 more")
    expected = [f"file {row}\tValueError: row {row} is torn" for row in range(100, 130)]
    assert Path(path).read_text(encoding="utf-8").splitlines() == expected * 3


def test_the_list_of_damaged_images_goes_once_they_can_be_read(tmp_path: Path) -> None:
    torn = set(range(30))

    class Mended(Shades, name="mended"):
        def _split(self, root: Path) -> bb.Split:
            del root

            def read(row: int) -> NDArray[np.uint8]:
                if row in torn:
                    raise ValueError(f"row {row} is torn")
                return np.full((3, 4, 4), row, dtype=np.uint8)

            return bb.Split(bb.LazyImages(read, (50, 3, 4, 4), ("x",) * 50), np.arange(50) % 2)

    with pytest.raises(DataError, match="all are listed in"):
        data_cache.load(Mended(), tmp_path)
    torn.clear()
    assert shades(data_cache.load(Mended(), tmp_path).splits["val"]) == list(range(50))
    assert not list(data_cache.dataset_folder("mended").rglob("damaged.txt"))


def test_a_list_of_damaged_images_that_cannot_be_written_costs_only_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(damaged_images, "write_atomically", full)
    dataset = Shades(damaged=tuple(range(100, 130)))
    with pytest.raises(DataError) as caught:
        data_cache.load(dataset, tmp_path)
    assert caught.value.message.endswith("and 70 more")
    assert num_read(tmp_path) == 510, "each image that can be read was read once"


@pytest.mark.parametrize("load", [data_cache.load, data_cache.decode])
def test_damaged_images_are_left_out_and_recorded(
    tmp_path: Path, load: Callable[..., data_cache.LoadedDataset]
) -> None:
    dataset = Shades(damaged=(0, 150), skip=True)
    loaded = load(dataset, tmp_path)
    rows = [row for row in range(200) if row not in (0, 150)]
    for split in loaded.splits.values():
        assert shades(split) == rows
        assert split.labels.tolist() == [row % 2 for row in rows]
        assert split.names == tuple(f"file {row}" for row in rows)
    assert loaded.facts.skipped == ("file 0", "file 150") * 3
    assert data_cache.load(dataset, tmp_path).facts == loaded.facts


def test_a_split_without_one_readable_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 3 images of train can be read"):
        data_cache.load(Shades(number=3, damaged=(0, 1, 2), skip=True), tmp_path)


def test_an_image_of_another_shape_counts_as_damaged(tmp_path: Path) -> None:
    class Wide(Shades, name="wide"):
        def _split(self, root: Path) -> bb.Split:
            del root
            images = bb.LazyImages(lambda _: np.zeros((3, 4, 5), dtype=np.uint8), (1, 3, 4, 4), ("x",))
            return bb.Split(images, np.zeros(1, dtype=np.int64))

    with pytest.raises(DataError, match=r"x \(it is uint8 \[3, 4, 5\], not uint8 \[3, 4, 4\]\)"):
        data_cache.load(Wide(), tmp_path)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let writing fail as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_a_warning_and_leaves_nothing(tmp_path: Path) -> None:
    loaded = data_cache.load(Shades(), tmp_path)
    assert "not cached" in loaded.warning
    assert shades(loaded.splits["test"]) == list(range(200))
    assert not list(data_cache.dataset_folder("shades").glob("*/*"))


def test_images_are_decoded_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_decoding, "num_processors", lambda: 3.0)
    meeting = threading.Barrier(3)

    class Meeting(Shades, name="meeting"):
        def _split(self, root: Path) -> bb.Split:
            del root

            def read(row: int) -> NDArray[np.uint8]:
                meeting.wait(timeout=60)
                return np.full((3, 4, 4), row, dtype=np.uint8)

            return bb.Split(bb.LazyImages(read, (8, 3, 4, 4), ("x",) * 8), np.zeros(8, dtype=np.int64))

    assert shades(data_cache.load(Meeting(), tmp_path).splits["train"]) == list(range(8))


def test_the_digest_of_what_was_resumed_is_that_of_all_its_images(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        data_cache.load(Shades(), tmp_path, on_progress=interrupt_after(300))
    loaded = data_cache.load(Shades(), tmp_path)
    for part, split in loaded.splits.items():
        assert loaded.facts.splits[part].digest == digest_of_split(split)


def test_a_failure_of_the_disk_is_not_a_damaged_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NDArray[np.uint8]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(np, "full", fail)
    with pytest.raises(DataError, match=r"cannot read file \d+: .*Input/output error"):
        data_cache.load(Shades(skip=True), tmp_path)
