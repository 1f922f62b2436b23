"""Folders of one's own images: what counts as a class, how they are split, and what every format becomes."""

from __future__ import annotations

import os
import unicodedata
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from benchbench_plugins.imagefolder import ImageFolder
from PIL import Image
from support.digests import digest
from support.image_folders import BLUE, GREEN, dataset, load, pixels_of, refusal, save, sizes, write
from support.permissions import forbid

from benchbench.data import cache as data_cache
from benchbench.errors import DataError, SpecError
from benchbench.plugin import parameters
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from pathlib import Path


def test_it_keeps_the_promises_of_all_datasets(tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        for row in range(5):
            image = Image.linear_gradient("L").rotate(len(folder) + 20 * row + (45 if folder == "cats" else 0))
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{row}.png")
    check_dataset(dataset(), tmp_path)


def test_every_class_is_split_by_its_fractions(tmp_path: Path) -> None:
    splits = load(write(tmp_path, {"cats": 20, "dogs": 10}), val_fraction=0.2, test_fraction=0.1)
    assert splits.class_names == ("cats", "dogs")
    assert sizes(splits) == [21, 6, 3]
    assert [split.labels.bincount().tolist() for _, split in splits.items()] == [[14, 7], [4, 2], [2, 1]]
    names = [name for _, split in splits.items() for name in split.names]
    assert len(set(names)) == 30


def test_the_split_is_always_the_same_until_its_seed_changes(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 20, "dogs": 10})
    assert load(root).test.names == load(root).test.names
    assert digest(load(root)) == digest(load(root))
    assert load(root, split_seed=1).test.names != load(root).test.names


def test_an_image_that_is_added_moves_few_others(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 40, "dogs": 40})
    before = set(load(root).test.names)
    save(root / "cats" / "new.png")
    assert len(before - set(load(root).test.names)) <= 1


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    root = write(tmp_path, {"Train/a": 3, "Train/b": 3, "valid/a": 2, "valid/b": 1, "test/a": 1, "test/b": 1})
    splits = load(root)
    assert sizes(splits) == [6, 3, 2]
    assert set(splits.val.names) == {"valid/a/0.png", "valid/a/1.png", "valid/b/0.png"}


def test_what_is_taken_from_the_training_images_is_said(tmp_path: Path) -> None:
    parts = {"train/a": 20, "train/b": 20, "val/a": 3, "val/b": 3}
    facts = data_cache.load(dataset(), write(tmp_path / "parts", parts)).facts
    assert facts.note == "took 4 images for test (test_fraction) from the training images"
    assert data_cache.load(dataset(), write(tmp_path / "whole", {"a": 20, "b": 20})).facts.note == ""


def test_classes_of_one_or_two_images_stay_in_training_and_are_named(tmp_path: Path) -> None:
    loaded = data_cache.load(dataset(), write(tmp_path, {"cats": 20, "lynxes": 2, "ocelots": 1}))
    assert loaded.facts.note == "too few images to be in every split: lynxes, ocelots"
    numbers = [np.bincount(split.labels, minlength=3).tolist() for split in loaded.splits.values()]
    assert numbers == [[16, 1, 1], [2, 0, 0], [2, 1, 0]]


def test_a_missing_test_folder_is_taken_from_the_training_images(tmp_path: Path) -> None:
    root = write(tmp_path, {"train/a": 10, "train/b": 10, "val/a": 2, "val/b": 2})
    splits = load(root, test_fraction=0.2)
    assert sizes(splits) == [16, 4, 4]
    assert all(name.startswith("train/") for name in splits.test.names)
    assert not set(splits.train.names) & set(splits.test.names)


def test_a_zip_archive_gives_what_the_folder_gives(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", {"cats": 4, "dogs": 4})
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path))
    assert digest(load(tmp_path / "photos.zip")) == digest(load(root))
    assert digest(load(tmp_path)) == digest(load(root))


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4, "__MACOSX/cats": 2, ".git/x": 2})
    for name in ("cats/Thumbs.db", "cats/.DS_Store", "cats/._0.png", "dogs/notes.txt", "labels.csv"):
        (root / name).write_bytes(b"?")
    (root / "empty").mkdir()
    splits = load(root)
    assert splits.class_names == ("cats", "dogs")
    assert sum(sizes(splits)) == 8


def test_what_benchbench_and_mlflow_leave_beside_the_images_is_no_class_and_decodes_nothing_anew(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"cats": 5, "dogs": 5})
    loaded = data_cache.load(dataset(), tmp_path)
    save(tmp_path / "mlruns" / "1" / "a" / "artifacts" / "figures" / "curves.png")
    save(tmp_path / ".bench" / "x.png")
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert data_cache.digest_of(dataset(), tmp_path) == loaded.facts.digest
    assert load(tmp_path).class_names == ("cats", "dogs")
    save(tmp_path / "cats" / "new.png", BLUE)
    assert data_cache.digest_of(dataset(), tmp_path) is None


def test_a_link_of_another_name_is_another_class(tmp_path: Path) -> None:
    write(tmp_path / "kept", {"cats": 5, "dogs": 5})
    (tmp_path / "photos").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "kept" / name)
    data_cache.load(dataset(), tmp_path / "photos")
    (tmp_path / "photos" / "dogs").rename(tmp_path / "photos" / "wolves")
    assert data_cache.digest_of(dataset(), tmp_path / "photos") is None
    assert load(tmp_path / "photos").class_names == ("cats", "wolves")


def test_a_split_of_an_unknown_name_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 5, "train/b": 5, "dev/a": 2, "dev/b": 2})
    error = refusal(tmp_path)
    assert "dev has folders of the same classes as train" in error.message
    assert "rename it to val or test" in error.hint
    (tmp_path / "dev").rename(tmp_path / "val")
    save(tmp_path / "docs" / "figure.png")
    assert sizes(load(tmp_path))[1] == 4


def test_exif_data_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    Image.new("RGB", (8, 8), GREEN).save(path, dpi=(72, 72), exif=b"Exif\0\0" + b"garbage!" * 4)
    assert abs(pixels_of(path).float().mean(dim=(1, 2)) - torch.tensor([0.0, 255.0, 0.0])).max() < 3


def test_images_may_lie_deeper_and_have_suffixes_of_any_case(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats/2024": 3, "dogs": 3})
    save(root / "dogs" / "9.JPG")
    save(root / "dogs" / "10.Jpeg")
    splits = load(root)
    assert sum(sizes(splits)) == 8


def test_a_link_to_a_folder_is_a_class(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"dogs": 4})
    root = write(tmp_path / "photos", {"cats": 4})
    (root / "dogs").symlink_to(elsewhere / "dogs")
    assert load(root).class_names == ("cats", "dogs")


def test_classes_of_any_language_are_read_alike_from_every_system(tmp_path: Path) -> None:
    names = ("Żółw", "猫", "a b", "🐕", "e\u0301cureuil")
    splits = load(write(tmp_path, dict.fromkeys(names, 3)))
    assert set(splits.class_names) == {"Żółw", "猫", "a b", "🐕", "\u00e9cureuil"}


def test_images_are_split_alike_from_every_system(tmp_path: Path) -> None:
    names = [
        unicodedata.normalize("NFC", f"{name}.png") for name in ("é", "ez", "f", "ü", "uz", "v", "z", "å", "az", "b")
    ]
    loaded = []
    for form in ("NFC", "NFD"):
        for folder, shade in (("birds", 0), ("ärger", 100)):
            for row, name in enumerate(names):
                save(tmp_path / form / unicodedata.normalize(form, f"{folder}/{name}"), (shade + row, 0, 0))
        loaded.append(data_cache.load(dataset(test_fraction=0.3), tmp_path / form))
    assert loaded[0].facts.digest == loaded[1].facts.digest
    assert loaded[0].splits["test"].names == loaded[1].splits["test"].names


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "has no folders with images in them"),
        ({".": 5}, "has 5 images, but no folders of classes"),
        ({"cats": 5}, "has one class only: cats"),
        (
            {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "valid/a": 1},
            "has two folders for val: val, valid",
        ),
        ({"cats": 1, "dogs": 2}, "too few images to have some for val"),
        ({"cats": 1, "dogs": 1}, "too few images to have some for val and test"),
        ({"train/a": 3, "train/b": 3, "val/c": 1}, "val has classes that train does not have: c"),
        ({"train/a": 3, "train/b": 3, "test": 3}, "test has no folders of classes"),
        ({"train": 5, "test": 5}, "look like splits and not like classes: test, train"),
        ({"training_set/a": 5, "training_set/b": 5, "test_set/a": 3}, "not like classes: test_set, training_set"),
        ({"val/a": 5, "val/b": 5, "test/a": 3}, "not like classes: test, val"),
        (
            {"bus": 4, "car": 4, "train/diesel": 4, "train/steam": 4},
            "train has folders of classes, but the folders beside it have images too: bus, car",
        ),
        ({"seg_train": 5, "seg_test": 5, "seg_pred": 3}, "not like classes: seg_test, seg_train"),
        (
            {"a": 3, "b": 3, "cells/a": 3, "cells/b": 3},
            "the folder cells is no class, since it has",
        ),
        (
            {"cats/train": 4, "cats/test": 2, "dogs/Train": 4, "dogs/test": 2, "dogs/val": 1},
            "the folder cats has folders of splits in it: test, train",
        ),
        ({"dataset/train/a": 3, "dataset/train/b": 3, "dataset/test/a": 1, "samples": 5}, "the folder dataset has"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused(tmp_path: Path, numbers: dict[str, int], message: str) -> None:
    assert message in refusal(write(tmp_path, numbers)).message


def test_classes_that_may_be_variants_of_the_same_images_are_pointed_out(tmp_path: Path) -> None:
    variants = {f"{variant}/{name}": 3 for variant in ("color", "grey") for name in ("apple", "tomato")}
    note = data_cache.load(dataset(), write(tmp_path / "variants", variants)).facts.note
    assert "the classes color, grey have the same folders in them (apple, tomato)" in note
    holidays = {"cats": 3, "cats/holidays": 3, "dogs": 3, "dogs/holidays": 3}
    assert data_cache.load(dataset(), write(tmp_path / "holidays", holidays)).facts.note == ""


def test_folders_that_are_left_out_beside_the_splits_are_named(tmp_path: Path) -> None:
    parts = {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "test/a": 1, "test/b": 1, "unlabeled": 2}
    facts = data_cache.load(dataset(), write(tmp_path, parts)).facts
    assert facts.class_names == ("a", "b")
    assert facts.note == "left out, since they are no splits: unlabeled"


def test_a_folder_of_a_class_without_images_is_named(tmp_path: Path) -> None:
    classes = write(tmp_path / "classes", {"a": 8, "b": 8})
    (classes / "c").mkdir()
    (classes / ".hidden").mkdir()
    facts = data_cache.load(dataset(), classes).facts
    assert facts.class_names == ("a", "b")
    assert facts.note == "left out, since they have no images in them: c"
    splits = write(tmp_path / "splits", {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in "ab"})
    (splits / "train" / "c").mkdir()
    assert data_cache.load(dataset(), splits).facts.note == "left out, since they have no images in them: c"


def test_images_that_are_in_no_folder_of_a_class_are_named(tmp_path: Path) -> None:
    classes = write(tmp_path / "classes", {"a": 8, "b": 8})
    for row in range(7):
        save(classes / f"{row}.png")
    note = data_cache.load(dataset(), classes).facts.note
    assert note == "left out, since they are in no class's folder: 0.png, 1.png, 2.png, 3.png, 4.png, and 2 more"
    splits = write(tmp_path / "splits", {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in "ab"})
    save(splits / "train" / "loose.png")
    save(splits / "overview.png")
    note = data_cache.load(dataset(), splits).facts.note
    assert note == "left out, since they are in no class's folder: train/loose.png"


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    assert load(write(tmp_path, {"bus": 5, "train": 5})).class_names == ("bus", "train")
    names = ("bullet_train", "dog", "test_tube")
    assert load(write(tmp_path / "things", dict.fromkeys(names, 5))).class_names == names


def test_what_disks_and_network_drives_leave_is_no_class(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4, "#recycle/cats": 3, "$RECYCLE.BIN": 3, "lost+found": 3})
    assert load(root).class_names == ("cats", "dogs")


def test_a_link_that_leads_back_brings_no_image_twice(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4})
    (root / "cats" / "all").symlink_to(root / "cats")
    (root / "dogs" / "itself").symlink_to(root / "dogs" / "itself")
    assert sum(sizes(load(root))) == 8


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.message == f"no --data is given, and no images are at {tmp_path / 'nowhere'}: it does not exist"
    assert "one folder per class" in error.hint


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": 5, "b": 5})
    forbid(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=f"cannot read {tmp_path}: Permission denied"):
        data_cache.load(dataset(), tmp_path)


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(SpecError, match="leave no images for training"):
        parameters.read(ImageFolder, {"val_fraction": 0.5, "test_fraction": 0.5})


def test_another_image_size_decodes_anew_and_another_mean_does_not(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4})
    first = data_cache.load(dataset(), root)
    assert data_cache.load(dataset(image_size=16), root).facts.image_shape == (3, 16, 16)
    assert data_cache.digest_of(dataset(mean=(0.5,)), root) == first.facts.digest
    assert data_cache.digest_of(dataset(image_size=32), root) is None


def test_a_tar_archive_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "photos.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match="is a tar archive") as caught:
        dataset().load(tmp_path / "photos.tar.gz")
    assert "unpack it" in caught.value.hint


def test_names_of_files_that_are_no_utf8_are_kept_readable(tmp_path: Path) -> None:
    root = write(tmp_path / "images", {"cat": 4, "dog": 4})
    try:
        (root / "dog").rename(root / os.fsdecode(b"ros\xe9"))
        (root / "cat" / "0.png").rename(root / "cat" / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this system has no such names")
    loaded = data_cache.load(dataset(), root)
    assert loaded.facts.class_names == ("cat", r"ros\xe9")
    names = [name for split in loaded.splits.values() for name in split.names]
    assert r"cat/caf\xe9.png" in names
    for path in (root / os.fsdecode(b"ros\xe9")).glob("[2-9].png"):
        path.unlink()
    loaded = data_cache.load(dataset(), root)
    assert r"ros\xe9" in loaded.facts.note
    assert data_cache.load(dataset(), root).facts == loaded.facts
