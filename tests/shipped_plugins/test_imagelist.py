"""Lists of one's own images in a CSV file."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchbench_plugins.imagelist import ImageList
from PIL import Image
from support.digests import decoded
from support.permissions import forbid

from benchbench.data import cache as data_cache
from benchbench.errors import BenchError
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, lines: list[str], *, header: str = "path,class,split", name: str = "list.csv") -> Path:
    """Write the list, and the images in it, no two of them alike."""
    for row, line in enumerate(lines):
        path = root / line.replace(";", ",").split(",")[0].replace("\\", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(7 * row).save(path)
    (root / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return root / name


def split_lines() -> list[str]:
    return [
        f"{part}/{name}{row}.png,{name},{part}"
        for part, number in (("train", 4), ("val", 2), ("test", 3))
        for row in range(number)
        for name in ("cat", "dog")
    ]


def dataset(**params: Any) -> ImageList:
    return ImageList(**({"image_size": 16} | params))


def refusal(root: Path) -> BenchError:
    with pytest.raises(BenchError) as caught:
        dataset().load(root)
    return caught.value


def test_it_keeps_the_promises_of_all_datasets(tmp_path: Path) -> None:
    check_dataset(dataset(), write(tmp_path, split_lines()))


def test_the_splits_are_those_of_the_file(tmp_path: Path) -> None:
    splits = decoded(dataset(), write(tmp_path, split_lines()))
    assert [len(split) for _, split in splits.items()] == [8, 4, 6]
    assert splits.class_names == ("cat", "dog")
    assert splits.val.names == ("val/cat0.png", "val/dog0.png", "val/cat1.png", "val/dog1.png")
    assert splits.val.labels.tolist() == [0, 1, 0, 1]


def test_without_splits_each_class_is_split_by_its_fractions(tmp_path: Path) -> None:
    lines = [f"{row}.png,{'cat' if row < 20 else 'dog'}" for row in range(30)]
    table = write(tmp_path, lines, header="path,class")
    splits = decoded(dataset(val_fraction=0.2), table)
    assert [split.labels.bincount().tolist() for _, split in splits.items()] == [[14, 7], [4, 2], [2, 1]]
    assert len({name for _, split in splits.items() for name in split.names}) == 30
    assert decoded(dataset(val_fraction=0.2, split_seed=1), table).test.names != splits.test.names


def test_classes_of_one_or_two_images_stay_in_training_and_are_named(tmp_path: Path) -> None:
    lines = [f"{row}.png,{'cat' if row < 20 else 'lynx' if row < 22 else 'ocelot'}" for row in range(23)]
    loaded = data_cache.load(dataset(), write(tmp_path, lines, header="path,class"))
    assert loaded.facts.note == "too few images to be in every split: lynx, ocelot"
    numbers = [np.bincount(split.labels, minlength=3).tolist() for split in loaded.splits.values()]
    assert numbers == [[16, 1, 1], [2, 0, 0], [2, 1, 0]]


def test_a_column_of_splits_may_be_empty(tmp_path: Path) -> None:
    lines = [f"{row}.png,{'cat' if row % 2 else 'dog'}," for row in range(20)]
    assert [len(split) for _, split in decoded(dataset(), write(tmp_path, lines)).items()] == [16, 2, 2]


def test_a_split_that_no_line_names_is_taken_from_training(tmp_path: Path) -> None:
    lines = [f"{row}.png,{'cat' if row % 2 else 'dog'},{'Validation' if row < 4 else 'train'}" for row in range(24)]
    splits = decoded(dataset(), write(tmp_path, lines))
    assert [len(split) for _, split in splits.items()] == [18, 4, 2]


def test_what_is_taken_from_the_training_images_is_said(tmp_path: Path) -> None:
    lines = [line for line in split_lines() if not line.endswith("val")]
    facts = data_cache.load(dataset(), write(tmp_path, lines)).facts
    assert facts.note == "took 2 images for val (val_fraction) from the training images"


def test_names_of_classes_may_have_separators_of_lines(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    text = table.read_text(encoding="utf-8").replace(",cat,", ',"ca\u2028t\nmeow",')
    table.write_text(text, encoding="utf-8")
    assert decoded(dataset(), table).class_names == ("ca\u2028t\nmeow", "dog")


def test_columns_may_have_other_names_an_order_of_their_own_and_semicolons(tmp_path: Path) -> None:
    write(tmp_path, split_lines())
    lines = [f"{part};{name};{path}" for path, name, part in (line.split(",") for line in split_lines())]
    table = tmp_path / "other.csv"
    table.write_text("\n".join(["Set;Label;Filename", *lines]), encoding="utf-8-sig")
    splits = decoded(dataset(), table)
    assert [len(split) for _, split in splits.items()] == [8, 4, 6]


def test_a_folder_with_one_list_stands_for_it(tmp_path: Path) -> None:
    write(tmp_path, split_lines())
    assert len(decoded(dataset(), tmp_path).train) == 8
    (tmp_path / "another.csv").write_text("")
    assert "it has 2 CSV files" in refusal(tmp_path).message


@pytest.mark.parametrize("name", ["", "list.csv"])
def test_what_may_not_be_read_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, split_lines())
    forbid(monkeypatch, tmp_path / name)
    with pytest.raises(BenchError, match=f"cannot read {tmp_path / name}: Permission denied"):
        data_cache.load(dataset(), tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it lists no images"),
        (["a.png,cat,train", "a.png,dog,test"], "line 2 lists a.png, as another line does"),
        (["a.png,cat,train", "./a.png,cat,test"], "line 3 lists ./a.png, as another line does"),
        (["a.png,cat,train", ",dog,train"], "line 3 has no path"),
        (["a.png,,train"], "line 2 has no class"),
        (["a.png,cat,train", "b.png,cat,"], "line 3 has no split, while other lines have one"),
        (["a.png,cat,holdout"], "line 2 has the split 'holdout', which is none of train, val and test"),
        (["a.png,cat,train", "b.png,cat,val"], "has one class only: cat"),
        (["a.png,cat,train", "b.png,cat,val", "c.png,dog,test"], "there are no training images of dog"),
        (["a.png,maillot,train,", "b.png,maillot, tank suit,val"], "line 3 has more fields than the first line"),
        (
            ["a.png,cat,train", 'b.png,"6 in,val', "c.png,dog,test"],
            "has unbalanced quotation marks",
        ),
    ],
)
def test_lines_that_cannot_be_meant_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path,class,split", *lines]), encoding="utf-8")
    assert message in refusal(table).message


@pytest.mark.parametrize("path", ["{root}/train/cat0.png", "../{root.name}/train/cat0.png", "link.png"])
def test_a_file_under_another_path_or_a_link_is_the_same_image(tmp_path: Path, path: str) -> None:
    table = write(tmp_path, split_lines())
    (tmp_path / "link.png").symlink_to(tmp_path / "train" / "cat0.png")
    path = path.format(root=tmp_path)
    with table.open("a", encoding="utf-8") as file:
        file.write(f"{path},cat,test\n")
    assert f"line 2 lists train/cat0.png, as another line does, line 20 lists {path}, as" in refusal(tmp_path).message


def test_rows_of_a_spreadsheet_may_be_empty(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines[:3], ",,", "", *lines[3:], ",,", ",,"]), encoding="utf-8")
    assert [len(split) for _, split in decoded(dataset(), table).items()] == [8, 4, 6]
    table.write_text("path,class,split\n\na.png,cat,train\n,,\n,dog,train\n", encoding="utf-8")
    assert "line 5 has no path" in refusal(table).message


def test_blanks_after_separators_are_no_part_of_a_name(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    lines = [line.replace(",", ", ").replace(" cat", ' "cat, tabby"') for line in split_lines()]
    table.write_text("\n".join(["path, class, split", *lines]), encoding="utf-8")
    assert decoded(dataset(), table).class_names == ("cat, tabby", "dog")


def test_the_first_line_may_tell_the_separator(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    text = table.read_text(encoding="utf-8").replace(",", ";").replace("dog;", "d,o,g,;")
    table.write_bytes(b"sep=;\r\n" + text.replace("\n", "\r\n").encode())
    assert decoded(dataset(), table).class_names == ("cat", "d,o,g,")
    table.write_text("sep=;\npath;class\na.png;\n", encoding="utf-8")
    assert "line 3 has no class" in refusal(table).message


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,class,Class\na.png,cat,0\nb.png,dog,1\n", encoding="utf-8")
    assert "has two columns called class" in refusal(tmp_path).message


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,color\na.png,red\n", encoding="utf-8")
    assert "has no column called class: path, color" in refusal(table).message


def test_images_that_are_missing_are_all_named(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    for name in ("train/cat0.png", "val/dog1.png"):
        (tmp_path / name).unlink()
    with pytest.raises(BenchError) as caught:
        decoded(dataset(), table)
    assert "2 images cannot be read" in caught.value.message
    assert "train/cat0.png" in caught.value.message
    assert "val/dog1.png" in caught.value.message
    assert data_cache.decode(dataset(on_damaged="skip"), table).facts.skipped == ("train/cat0.png", "val/dog1.png")


def test_an_image_that_changes_is_decoded_again(tmp_path: Path) -> None:
    table = write(tmp_path, split_lines())
    data_cache.load(dataset(), table)
    assert data_cache.digest_of(dataset(), table)
    Image.new("L", (20, 20)).save(tmp_path / "train" / "cat0.png")
    assert data_cache.digest_of(dataset(), table) is None


def test_images_are_split_alike_from_every_system(tmp_path: Path) -> None:
    digests = []
    for form in ("NFC", "NFD"):
        (tmp_path / form).mkdir()
        lines = [unicodedata.normalize(form, f"{row}\u00e9.png,{'cat' if row % 2 else 'dog'}") for row in range(20)]
        table = write(tmp_path / form, lines, header="path,class")
        digests.append(data_cache.load(dataset(test_fraction=0.3), table).facts.digest)
    assert digests[0] == digests[1]


def test_an_accent_of_two_characters_is_the_same_class(tmp_path: Path) -> None:
    lines = [f"{row}.png,{name}" for row, name in enumerate(["\u00e9cole", "e\u0301cole", "rue", "rue"] * 3)]
    table = write(tmp_path, lines, header="path,class")
    assert decoded(dataset(), table).class_names == ("rue", "\u00e9cole")
