from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch
from benchbench_plugins.tinyimage10 import TinyImage10
from PIL import Image
from support.digests import digest
from support.image_archives import (
    WNIDS,
    images_in,
    jpeg,
    made_images,
    official,
    ready_cut,
    sorted_by_class,
    write_folder,
    write_zip,
)
from support.paths import REPOSITORY

from benchbench.data.split_checks import check_splits
from benchbench.errors import DataError
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchbench.plugin.dataset import Splits


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return made_images()


@pytest.fixture(scope="module")
def from_ready_cut_zip(images: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Splits:
    path = write_zip(tmp_path_factory.mktemp("ready_cut") / "tinyimage10.zip", ready_cut(images))
    return TinyImage10().load(path)


def load(root: Path) -> Splits:
    return TinyImage10().load(root)


@pytest.mark.slow
def test_the_dataset_keeps_the_promises_of_all_datasets(images: dict[str, bytes], tmp_path: Path) -> None:
    check_dataset(TinyImage10(), write_zip(tmp_path / "tinyimage10.zip", ready_cut(images)))


def assert_same(found: Splits, expected: Splits) -> None:
    assert found.class_names == expected.class_names
    for (_, mine), (_, other) in zip(found.items(), expected.items(), strict=True):
        assert mine.names == other.names
        assert torch.equal(mine.images, other.images)
        assert torch.equal(mine.labels, other.labels)


def test_defaults_are_the_preprocessing_of_the_paper() -> None:
    assert TinyImage10.augmentation == "flip"
    assert TinyImage10().model_dump() == {
        "image_size": 150,
        "fit": "pad",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }


def test_splits_have_400_50_and_50_images_a_class_in_order(from_ready_cut_zip: Splits) -> None:
    check_splits("tinyimage10", from_ready_cut_zip)
    for (_, split), size in zip(from_ready_cut_zip.items(), (400, 50, 50), strict=True):
        assert split.images.shape == (10 * size, 3, 64, 64)
        assert torch.equal(split.labels, torch.arange(10).repeat_interleave(size))
        wanted = [(wnid, number) for wnid in WNIDS for number in range(500) if f"{wnid}_{number}.JPEG" in split.names]
        assert list(split.names) == [f"{wnid}_{number}.JPEG" for wnid, number in wanted]
    assert from_ready_cut_zip.class_names[:2] == ("goldfish", "European fire salamander")


def renamed(members: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    return {name.replace(old, new): content for name, content in members.items()}


@pytest.mark.parametrize("layout", ["ready_cut_folder", "official_zip", "official_folder", "folder_with_zip", "named"])
def test_every_layout_gives_the_same_images_in_the_same_order(
    layout: str, images: dict[str, bytes], from_ready_cut_zip: Splits, tmp_path: Path
) -> None:
    match layout:
        case "ready_cut_folder":
            root = write_folder(tmp_path / "any name", ready_cut(images))
        case "official_zip":
            root = write_zip(tmp_path / "tiny-imagenet-200.zip", official(images))
        case "official_folder":
            root = write_folder(tmp_path / "any name", official(images))
        case "folder_with_zip":
            root = write_zip(tmp_path / "tiny-imagenet-200.zip", official(images)).parent
        case _:
            root = write_folder(tmp_path / "tiny-imagenet-200", official(images)).parent
    assert_same(load(root), from_ready_cut_zip)


REARRANGED: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "one folder deeper": lambda images: renamed(official(images), "train/", "tiny-imagenet-200/train/"),
    "with backslashes": lambda images: renamed(official(images), "/", "\\"),
    "without the folders called images": lambda images: renamed(official(images), "/images/", "/"),
    "sorted by class": lambda images: sorted_by_class(official(images)),
    "sorted by class without the folders called images": lambda images: renamed(
        sorted_by_class(official(images)), "/images/val_", "/val_"
    ),
    "jpg": lambda images: renamed(ready_cut(images), ".JPEG", ".jpg"),
    "jpeg": lambda images: renamed(ready_cut(images), ".JPEG", ".jpeg"),
    "JPG": lambda images: renamed(official(images), ".JPEG", ".JPG"),
}


@pytest.mark.parametrize("change", REARRANGED)
@pytest.mark.parametrize("as_zip", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_archive_that_was_rearranged_gives_the_same_images(
    change: str, images: dict[str, bytes], from_ready_cut_zip: Splits, tmp_path: Path, *, as_zip: bool
) -> None:
    if change == "with backslashes" and not as_zip:
        pytest.skip("a folder has no names with backslashes")
    members = REARRANGED[change](images)
    root = write_zip(tmp_path / "again.zip", members) if as_zip else write_folder(tmp_path / "again", members).parent
    assert_same(load(root), from_ready_cut_zip)


def test_an_image_that_is_there_twice_is_named(images: dict[str, bytes], tmp_path: Path) -> None:
    name = "train/n01443537/images/n01443537_300"
    members = ready_cut(images) | {f"{name}.jpg": jpeg((1, 2, 3))}
    with pytest.raises(DataError, match=r"one image twice: n01443537_300\.JPEG and n01443537_300\.jpg"):
        load(write_folder(tmp_path, members))


@pytest.mark.slow
def test_official_archive_of_the_real_images_gives_the_published_cut(tinyimage10_zip: Path, tmp_path: Path) -> None:
    rebuilt = write_zip(tmp_path / "tiny-imagenet-200.zip", official(images_in(tinyimage10_zip)))
    assert_same(load(rebuilt), load(tinyimage10_zip))


def test_the_real_images_have_the_digest_that_the_page_on_data_gives(tinyimage10_zip: Path) -> None:
    page = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    (given,) = re.findall(r"digest of `tinyimage10` is\s+`([0-9a-f]+)`", page)
    assert digest(load(tinyimage10_zip)) == given


@pytest.mark.slow
def test_the_real_ready_cut_archive_and_its_folder_are_the_same(tinyimage10_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tinyimage10_zip) as archive:
        archive.extractall(tmp_path)
    expected = load(tinyimage10_zip)
    assert_same(load(tmp_path), expected)
    assert_same(load(tmp_path / "tinyimage10"), expected)


@pytest.mark.slow
def test_greyscale_images_of_the_real_archive_become_rgb(tinyimage10_zip: Path) -> None:
    grey = {name for name, image in images_in(tinyimage10_zip).items() if Image.open(io.BytesIO(image)).mode == "L"}
    assert len(grey) == 26
    splits = load(tinyimage10_zip)
    for split in (splits.train, splits.val, splits.test):
        rows = [row for row, name in enumerate(split.names) if name in grey]
        red, green, blue = split.images[rows].unbind(dim=1)
        assert torch.equal(red, green)
        assert torch.equal(green, blue)


def test_only_what_is_read_counts_as_source(images: dict[str, bytes], tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "tinyimage10.zip", {"train/x": b""})
    assert TinyImage10().sources(tmp_path) == (archive,)
    cut = write_folder(tmp_path / "cut", dict.fromkeys(ready_cut(images), b""))
    assert len(TinyImage10().sources(cut)) == 30
    whole = write_folder(tmp_path / "whole", dict.fromkeys(official(images), b""))
    assert TinyImage10().sources(whole) == tuple(whole / f"train/{wnid}/images" for wnid in WNIDS)


def test_a_folder_without_images_says_what_was_looked_for_and_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "none of tinyimage10.zip, tiny-imagenet-200.zip" in caught.value.message
    for way in ("--data PATH", "bench data fetch tinyimage10", "digits"):
        assert way in caught.value.hint


def test_images_of_something_else_are_not_taken_for_ours(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"train/cats/1.jpg": b"", "val/cats/2.jpg": b""})
    with pytest.raises(DataError, match=r"no folder such as train/n01443537/images"):
        load(folder)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: it does not exist"):
        load(tmp_path / "nowhere")


def test_a_truncated_zip_is_refused(tmp_path: Path, images: dict[str, bytes]) -> None:
    path = write_zip(tmp_path / "tinyimage10.zip", ready_cut(images))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"tinyimage10\.zip is not a complete zip archive"):
        load(path)


def test_a_zip_with_a_member_outside_is_refused(tmp_path: Path, images: dict[str, bytes]) -> None:
    path = write_zip(tmp_path / "tinyimage10.zip", ready_cut(images) | {"../../evil": b""})
    with pytest.raises(DataError, match=r"not safe to read: 'tinyimage10/\.\./\.\./evil'"):
        load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (jpeg((9, 9, 9))[:300], "is not a readable JPEG image"),
        (b"", "is not a readable JPEG image"),
        (b"GIF89a" + bytes(100), "is not a readable JPEG image"),
        (jpeg((9, 9, 9), size=(64, 32)), "has 64x32 pixels, not 64x64"),
        (jpeg((9, 9, 9), size=(3000, 3000)), "has 3000x3000 pixels, not 64x64"),
        (bytes(300_000), "has 300,000 bytes"),
    ],
)
@pytest.mark.parametrize("as_zip", [True, False])
def test_an_image_that_cannot_be_used_is_named(
    images: dict[str, bytes], tmp_path: Path, content: bytes, reason: str, *, as_zip: bool
) -> None:
    name = "train/n01443537/images/n01443537_123.JPEG"
    members = {key: value for key, value in ready_cut(images).items() if "n01443537" in key} | {name: content}
    write = write_zip if as_zip else write_folder
    path = write(tmp_path / "tinyimage10.zip", members)
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(path) in caught.value.message
    assert name in caught.value.message
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("layout", "folder"),
    [(ready_cut, "test/n01774750/images"), (official, "train/n01774750/images")],
)
def test_a_class_whose_folder_is_missing_is_named(
    images: dict[str, bytes], tmp_path: Path, layout: object, folder: str
) -> None:
    members = {name: content for name, content in layout(images).items() if not name.startswith(folder)}
    with pytest.raises(DataError, match=rf"the folder {folder} is missing or empty"):
        load(write_folder(tmp_path, members))


def test_missing_images_are_counted_and_the_first_is_named(images: dict[str, bytes], tmp_path: Path) -> None:
    members = ready_cut(images)
    del members["train/n01443537/images/n01443537_300.JPEG"]
    del members["train/n01443537/images/n01443537_200.JPEG"]
    with pytest.raises(DataError, match=r"2 of 400 images are missing in .*, the first of them n01443537_200\.JPEG"):
        load(write_folder(tmp_path, members))
