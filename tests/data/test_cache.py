"""Images are decoded once and kept, until something that they depend on changes."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from support.paths import TESTS
from support.squares import Squares, loads, square

import benchbench as bb
from benchbench import paths
from benchbench.data import cache as data_cache
from benchbench.data.file_states import state_of
from benchbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def entry_folder() -> Path:
    (entry,) = data_cache.dataset_folder("squares").glob("*/entry.json")
    return entry.parent


def assert_same(found: data_cache.LoadedDataset, expected: data_cache.LoadedDataset) -> None:
    assert found.facts == expected.facts
    for mine, other in zip(found.splits.values(), expected.splits.values(), strict=True):
        assert np.array_equal(mine.images, other.images)
        assert np.array_equal(mine.labels, other.labels)
        assert mine.names == other.names
    assert found.splits.keys() == expected.splits.keys()


def test_the_second_load_comes_from_the_cache_and_is_the_same(root: Path) -> None:
    first = data_cache.load(Squares(), root)
    second = data_cache.load(Squares(), root)
    assert loads(root) == 1
    assert_same(second, first)
    assert_same(second, data_cache.decode(Squares(), root))


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells how much of a file is in memory")
def test_images_that_were_read_can_leave_memory_and_be_read_again(root: Path) -> None:
    data_cache.load(Squares(side=256), root)
    loaded = data_cache.load(Squares(side=256), root)
    images = {str(path) for path in entry_folder().glob("*.images.npy")}

    def bytes_in_memory() -> int:
        maps = psutil.Process().memory_maps()
        return sum(found.rss for found in maps if found.path in images)

    before = [split.images.copy() for split in loaded.splits.values()]
    assert bytes_in_memory() >= sum(images.nbytes for images in before)
    loaded.forget_pages()
    assert bytes_in_memory() == 0
    for images, split in zip(before, loaded.splits.values(), strict=True):
        assert np.array_equal(split.images, images)


def test_facts_name_source_shape_labels_and_numbers(root: Path) -> None:
    facts = data_cache.load(Squares(side=5), root).facts
    assert facts.source == str(root)
    assert facts.image_shape == (3, 5, 5)
    assert facts.class_names == ("dark", "bright")
    assert {part: split.num_images for part, split in facts.splits.items()} == {"train": 6, "val": 6, "test": 6}


def test_digests_depend_on_images_and_labels_alone_and_never_change(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("6")
    facts = data_cache.load(Squares(), root).facts
    assert data_cache.load(Squares(), elsewhere).facts.digest == facts.digest
    # Finished trials are known by this digest, so another way of making it would run them all again.
    assert facts.digest == "db531c0019144c56433983fcfc2baa72"
    assert len({facts.digest, *(split.digest for split in facts.splits.values())}) == 4


def test_writing_to_a_loaded_tensor_leaves_the_cache_alone(root: Path) -> None:
    data_cache.load(Squares(), root)
    data_cache.load(Squares(), root).splits["train"].images.fill(0)
    assert data_cache.load(Squares(), root).splits["train"].images.flatten().tolist() == [10] * 288


def test_another_size_or_time_of_the_file_means_loading_again(root: Path) -> None:
    data_cache.load(Squares(), root)
    root.write_text("8")
    os.utime(root, ns=(1, 1))
    assert data_cache.load(Squares(), root).facts.splits["train"].num_images == 8
    root.write_text("08")
    os.utime(root, ns=(1, 1))
    data_cache.load(Squares(), root)
    assert loads(root) == 3


def test_a_changed_file_deep_in_a_folder_means_loading_again(tmp_path: Path) -> None:
    class Nested(Squares, name="nested"):
        def load(self, root: Path) -> bb.Splits:
            return super().load(root / "deep" / "squares.txt")

    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "squares.txt").write_text("6")
    data_cache.load(Nested(), tmp_path)
    (tmp_path / "deep" / "squares.txt").write_text("10")
    assert len(data_cache.load(Nested(), tmp_path).splits["train"]) == 10


class Shades(Squares, name="shades"):
    """A folder of files whose names are the order of the images, and whose text is their shade."""

    def load(self, root: Path) -> bb.Splits:
        shades = [int(path.read_text()) for path in sorted(root.rglob("*.txt"))]
        images = torch.tensor(shades, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
        split = bb.Split(images.contiguous(), torch.arange(len(shades)) % 2)
        return bb.Splits(split, split, split, ("even", "odd"))


def write_shades(folder: Path, *shades: int) -> None:
    """Write files of equal size and age."""
    folder.mkdir()
    for row, shade in enumerate(shades):
        path = folder / f"{row}.txt"
        path.write_text(str(shade))
        os.utime(path, ns=(1, 1))


def shades_of(root: Path) -> list[int]:
    return data_cache.load(Shades(), root).splits["train"].images[:, 0, 0, 0].tolist()


def test_two_files_that_change_places_mean_loading_again(tmp_path: Path) -> None:
    root = tmp_path / "images"
    write_shades(root, 10, 20)
    assert shades_of(root) == [10, 20]
    (root / "0.txt").rename(root / "x")
    (root / "1.txt").rename(root / "0.txt")
    (root / "x").rename(root / "1.txt")
    assert shades_of(root) == [20, 10]


def test_a_file_of_another_name_means_loading_again(tmp_path: Path) -> None:
    root = tmp_path / "images"
    write_shades(root, 10, 20)
    assert shades_of(root) == [10, 20]
    (root / "0.txt").rename(root / "2.txt")
    assert shades_of(root) == [20, 10]


def test_a_file_behind_a_link_to_a_folder_counts(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    root.mkdir()
    write_shades(elsewhere, 10, 20)
    (root / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(elsewhere)
    state = state_of(root)
    (elsewhere / "0.txt").write_text("99")
    assert state_of(root) != state


def test_another_version_of_the_image_library_means_loading_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_cache.load(Squares(), root)
    monkeypatch.setattr("PIL.__version__", "0.1")
    data_cache.load(Squares(), root)
    assert loads(root) == 2


def test_another_way_to_decode_means_loading_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_cache.load(Squares(), root)
    monkeypatch.setattr(data_cache, "_digest_of_our_code", lambda: "of another version")
    data_cache.load(Squares(), root)
    assert loads(root) == 2


def test_a_parameter_of_the_dataset_means_loading_again_but_one_of_preprocessing_does_not(root: Path) -> None:
    data_cache.load(Squares(), root)
    data_cache.load(Squares(image_size=99, mean=(0.1,), std=(0.2,)), root)
    assert loads(root) == 1
    assert data_cache.load(Squares(side=5), root).facts.image_shape == (3, 5, 5)
    assert loads(root) == 2


def test_another_revision_or_source_of_the_plugin_means_loading_again(root: Path) -> None:
    class Revised(Squares, name="squares", revision=2):
        pass

    data_cache.load(Squares(), root, source_digest="a")
    data_cache.load(Squares(), root, source_digest="b")
    data_cache.load(Revised(), root, source_digest="b")
    assert loads(root) == 3


def test_digest_is_known_without_loading_once_it_is_cached(root: Path) -> None:
    assert data_cache.digest_of(Squares(), root) is None
    facts = data_cache.load(Squares(), root).facts
    assert data_cache.digest_of(Squares(), root) == facts.digest
    assert data_cache.digest_of(Squares(), root, source_digest="another") is None
    assert loads(root) == 1


def cut_short(folder: Path) -> None:
    path = folder / "val.images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def lose_a_file(folder: Path) -> None:
    (folder / "test.labels.npy").unlink()


def garble_the_entry(folder: Path) -> None:
    (folder / "entry.json").write_text('{"facts": ')


def swap_two_files(folder: Path) -> None:
    (folder / "train.labels.npy").replace(folder / "train.images.npy")


def empty_a_file(folder: Path) -> None:
    (folder / "train.images.npy").write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, lose_a_file, garble_the_entry, swap_two_files, empty_a_file])
def test_a_damaged_entry_is_made_again(root: Path, damage: Callable[[Path], None]) -> None:
    expected = data_cache.decode(Squares(), root)
    data_cache.load(Squares(), root)
    damage(entry_folder())
    assert_same(data_cache.load(Squares(), root), expected)
    assert loads(root) == 3
    assert_same(data_cache.load(Squares(), root), expected)
    assert loads(root) == 3


def test_what_a_killed_process_left_is_not_taken_for_whole(root: Path) -> None:
    first = data_cache.load(Squares(), root)
    folder = entry_folder()
    folder.rename(folder.with_suffix(".partial"))
    (folder.with_suffix(".partial") / "entry.json").unlink()
    assert data_cache.digest_of(Squares(), root) is None
    assert_same(data_cache.load(Squares(), root), first)
    assert not folder.with_suffix(".partial").exists()


def test_a_scratch_folder_stays_while_it_is_used(root: Path) -> None:
    with data_cache.scratch_folder("squares") as folder:
        (folder / "images").mkdir()
        data_cache.load(Squares(), root)
        assert (folder / "images").is_dir()
    assert not list(data_cache.dataset_folder("squares").glob("scratch*"))


def test_the_scratch_folder_of_a_killed_process_is_deleted_by_the_next_that_writes_an_entry(root: Path) -> None:
    script = (
        "import os; from benchbench.data.cache import scratch_folder\n"
        "with scratch_folder('squares') as folder:\n    (folder / 'images').mkdir(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len(list(data_cache.dataset_folder("squares").glob("*.partial/images"))) == 1
    data_cache.load(Squares(), root)
    assert not list(data_cache.dataset_folder("squares").glob("*.partial"))


def test_a_cache_folder_that_cannot_be_used_is_a_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    loaded = data_cache.load(Squares(), root)
    assert len(loaded.splits["train"]) == 6
    assert "not cached" in loaded.warning
    assert loads(root) == 1


@contextlib.contextmanager
def no_files_larger_than(num_bytes: int) -> Iterator[None]:
    """Let writing fail as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_warning_and_leaves_nothing(root: Path) -> None:
    with no_files_larger_than(1000):
        loaded = data_cache.load(Squares(side=50), root)
    assert loaded.splits["train"].images.shape == (6, 3, 50, 50)
    assert "not cached" in loaded.warning
    assert not list(data_cache.dataset_folder("squares").glob("*/*"))
    assert data_cache.load(Squares(side=50), root).warning == ""


@pytest.mark.slow
def test_two_processes_at_once_decode_once_and_agree(root: Path) -> None:
    script = TESTS / "support" / "squares.py"
    command = [sys.executable, str(script), str(root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert answers == {data_cache.decode(Squares(), root).facts.digest}
    assert loads(root) == 2  # one of the two, and the line above


@pytest.mark.slow
def test_a_process_waits_for_another_as_long_as_that_decodes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_cache, "LOCK_SECONDS", 1.5)
    data_cache.load(Squares(), root)
    (entry,) = data_cache.dataset_folder("squares").glob("*/entry.json")
    entry.unlink()
    partial = data_cache._partial(entry.parent)
    partial.mkdir()
    lock = FileLock(entry.parent.with_suffix(".lock"))

    def decode_for_a_while() -> None:
        with lock:
            holds.set()
            for number in range(40):
                (partial / "train.done").write_bytes(bytes(number))
                time.sleep(0.1)

    holds = threading.Event()
    other = threading.Thread(target=decode_for_a_while)
    other.start()
    holds.wait()
    assert data_cache.load(Squares(), root).warning == ""
    other.join()
    with FileLock(entry.parent.with_suffix(".lock")):
        entry.unlink()
        assert "not cached" in data_cache.load(Squares(), root).warning


def test_only_the_entries_used_last_are_kept(root: Path) -> None:
    for side in range(1, 4):
        data_cache.load(Squares(side=side), root)
        age_entries()
    data_cache.load(Squares(side=1), root)
    for side in range(4, 7):
        age_entries()
        data_cache.load(Squares(side=side), root)
    kept = [side for side in range(1, 7) if data_cache.digest_of(Squares(side=side), root)]
    assert kept == [1, 4, 5, 6]


def test_all_entries_that_a_grid_uses_are_kept(root: Path) -> None:
    for _ in range(2):
        for side in range(1, 7):
            data_cache.load(Squares(side=side), root)
    assert loads(root) == 6


def age_entries() -> None:
    """Make all entries a day older."""
    for entry in data_cache.dataset_folder("squares").glob("*/entry.json"):
        time = entry.stat().st_mtime - data_cache.KEPT_SECONDS - 60
        os.utime(entry, (time, time))


def test_cached_bytes_counts_what_lies_on_disk(root: Path) -> None:
    assert data_cache.cached_bytes("squares") == 0
    data_cache.load(Squares(side=100), root)
    assert 18 * 30_000 < data_cache.cached_bytes("squares") < 19 * 30_000


def test_the_cache_lies_below_the_cache_folder_whatever_the_name() -> None:
    assert data_cache.dataset_folder("../../evil").parent == paths.cache_folder() / "decoded"


def test_a_dataset_without_files_is_cached_whatever_the_path(tmp_path: Path) -> None:
    class Unrooted(Squares, name="unrooted"):
        def sources(self, root: Path) -> tuple[Path, ...]:
            return ()

        def load(self, root: Path) -> bb.Splits:
            root.touch()
            part = square(2, side=3, shade=9)
            return bb.Splits(part, part, part, ("dark", "bright"))

    facts = data_cache.load(Unrooted(), tmp_path / "a").facts
    assert facts.source == __name__
    data_cache.load(Unrooted(), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_a_plugin_raises_is_said_with_its_name(root: Path) -> None:
    root.write_text("many")
    with pytest.raises(DataError, match=r"'squares' failed in load\(\): ValueError: invalid literal.*line \d+\)"):
        data_cache.load(Squares(), root)
    with pytest.raises(DataError, match=r"'squares' failed in load\(\): FileNotFoundError"):
        data_cache.load(Squares(), root.with_name("nowhere.txt"))


def test_a_load_that_does_not_say_what_it_reads_is_asked_again_for_another_size(tmp_path: Path) -> None:
    class Sized(bb.Dataset, name="sized"):
        def load(self, root: Path) -> bb.Splits:
            part = square(2, side=self.image_size, shade=9)
            return bb.Splits(part, part, part, ("dark", "bright"))

    for size in (4, 6):
        assert data_cache.load(Sized(image_size=size), tmp_path).facts.image_shape == (3, size, size)
