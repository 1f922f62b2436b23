from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from benchbench_plugins.tinyimage10 import TinyImage10
from benchbench_plugins.tinyimage200 import HINT, TinyImage200, find_archive
from support.digests import digest
from support.image_archives import LATER_WNID, WNIDS, made_images, official, sorted_by_class, write_folder, write_zip

from benchbench.data.split_checks import check_splits
from benchbench.errors import DataError
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.plugin.dataset import Splits

WORDS = "\n".join(
    [
        "n00000000\tsomething else",
        *(f"{wnid}\tanimal {row}, by another name" for row, wnid in enumerate(WNIDS[:-1])),
        f"{WNIDS[-1]}\tspider, such as a tarantula",
        f"{LATER_WNID}\tspider",
    ]
)


class Eleven(TinyImage200, name="eleven"):
    """As many classes as the archive made here has."""

    num_classes = 11


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    return official(made_images([*WNIDS, LATER_WNID])) | {"words.txt": WORDS.encode()}


@pytest.fixture(scope="module")
def archive(members: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zip(tmp_path_factory.mktemp("official") / "tiny-imagenet-200.zip", members)


@pytest.fixture(scope="module")
def splits(archive: Path) -> Splits:
    return Eleven().load(archive)


@pytest.mark.slow
def test_the_dataset_keeps_the_promises_of_all_datasets(archive: Path) -> None:
    check_dataset(Eleven(), archive)


def test_every_class_has_400_50_and_50_images_in_order(splits: Splits) -> None:
    check_splits("tinyimage200", splits)
    for (_, split), size in zip(splits.items(), (400, 50, 50), strict=True):
        assert split.images.shape == (11 * size, 3, 64, 64)
        assert torch.equal(split.labels, torch.arange(11).repeat_interleave(size))
        assert len(set(split.names)) == 11 * size


def test_the_ten_classes_have_the_images_that_tinyimage10_has(splits: Splits, archive: Path) -> None:
    for (_, ours), (_, ten) in zip(splits.items(), TinyImage10().load(archive).items(), strict=True):
        assert ours.names[: len(ten)] == ten.names
        assert torch.equal(ours.images[: len(ten)], ten.images)
        assert torch.equal(ours.labels[: len(ten)], ten.labels)


def test_classes_are_called_by_their_first_names_and_by_their_ids_where_two_share_one(splits: Splits) -> None:
    assert splits.class_names[0] == "animal 0"
    assert splits.class_names[-2:] == (f"spider ({WNIDS[-1]})", f"spider ({LATER_WNID})")


def test_the_folder_gives_the_same_images(members: dict[str, bytes], splits: Splits, tmp_path: Path) -> None:
    assert digest(Eleven().load(write_folder(tmp_path, members))) == digest(splits)


def test_the_archive_or_its_folder_may_lie_in_the_place_that_is_named(archive: Path, tmp_path: Path) -> None:
    assert find_archive(archive.parent) == archive
    folder = write_folder(tmp_path / "tiny-imagenet-200", {"wnids.txt": b""})
    assert find_archive(tmp_path) == tmp_path
    assert find_archive(folder) == folder


def test_preprocessing_and_download_are_those_of_tinyimage10() -> None:
    assert TinyImage200().model_dump() == TinyImage10().model_dump()
    assert TinyImage200.download == TinyImage10.download
    assert TinyImage200.sha256 == {}


def rewritten(members: dict[str, bytes], change: str) -> dict[str, bytes]:
    """Return the members as other programs leave them."""
    if change == "byte order marks":
        texts = ("wnids.txt", "words.txt")
        return members | {name: b"\xef\xbb\xbf" + members[name].replace(b"\n", b"\r\n") for name in texts}
    if change == "deeper":
        return {f"tiny-imagenet-200/{name}": content for name, content in members.items()}
    if change == "sorted by class":
        return sorted_by_class(members)
    if change == "backslashes":
        return {name.replace("/", "\\"): content for name, content in members.items()}
    return {name.replace(".JPEG", ".jpg").replace("/images/", "/"): content for name, content in members.items()}


@pytest.mark.slow
@pytest.mark.parametrize("change", ["byte order marks", "deeper", "backslashes", "sorted by class", "flat and jpg"])
def test_an_archive_that_was_rearranged_gives_the_same_images(
    members: dict[str, bytes], splits: Splits, tmp_path: Path, change: str
) -> None:
    again = Eleven().load(write_zip(tmp_path / "again.zip", rewritten(members, change)))
    assert digest(again) == digest(splits)
    assert again.class_names == splits.class_names


def test_only_what_is_read_counts_as_source(members: dict[str, bytes], archive: Path, tmp_path: Path) -> None:
    assert TinyImage200().sources(archive.parent) == (archive,)
    folder = write_folder(tmp_path, dict.fromkeys(members, b""))
    assert TinyImage200().sources(folder) == (folder / "train", folder / "wnids.txt", folder / "words.txt")


def test_an_archive_of_another_number_of_classes_is_refused(archive: Path) -> None:
    with pytest.raises(DataError, match=r"wnids\.txt has 11 classes, not 200"):
        TinyImage200().load(archive)


def test_the_ready_cut_ten_classes_are_not_enough_and_the_ways_out_are_said(tmp_path: Path) -> None:
    ready_cut = {"train/n01443537/images/n01443537_100.JPEG": b"", "wnids.txt": "\n".join(WNIDS).encode()}
    with pytest.raises(DataError) as caught:
        TinyImage200().load(write_zip(tmp_path / "tinyimage10.zip", ready_cut))
    assert "tinyimage10/wnids.txt has 10 classes, not 200" in caught.value.message


def test_a_place_without_the_archive_is_named_with_the_ways_out(tmp_path: Path) -> None:
    for root, reason in ((tmp_path, "has neither wnids.txt nor"), (tmp_path / "nowhere", "does not exist")):
        with pytest.raises(DataError, match=reason) as caught:
            TinyImage200().load(root)
        assert str(root) in caught.value.message
        assert caught.value.hint == HINT


def test_a_missing_image_and_a_broken_one_are_named(members: dict[str, bytes], tmp_path: Path) -> None:
    name = f"train/{WNIDS[0]}/images/{WNIDS[0]}_123.JPEG"
    without = {key: value for key, value in members.items() if key != name}
    with pytest.raises(DataError, match=rf"1 of 400 images are missing in .*{WNIDS[0]}.*_123\.JPEG") as caught:
        Eleven().load(write_zip(tmp_path / "tiny-imagenet-200.zip", without))
    assert caught.value.hint == HINT
    with pytest.raises(DataError, match=rf"{WNIDS[0]}_123\.JPEG is not a readable JPEG image"):
        Eleven().load(write_zip(tmp_path / "tiny-imagenet-200.zip", members | {name: b"GIF89a"}))
