"""What a dataset plugin returns is checked, and has a digest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.digests import digest
from support.squares import Squares, square

import benchbench as bb
from benchbench.data import cache as data_cache
from benchbench.data.split_checks import check_splits
from benchbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


GOOD = square(6, side=4, shade=1)
BAD_SPLITS = {
    "uint8 tensor [N, C, H, W], not float32 [6, 3, 4, 4]": replace(GOOD, images=GOOD.images.float()),
    "uint8 tensor [N, C, H, W], not uint8 [6, 4, 4]": replace(GOOD, images=GOOD.images[:, 0]),
    "uint8 tensor [N, C, H, W], not list": replace(GOOD, images=GOOD.images.tolist()),
    "[N, C, H, W], not [N, H, W, C] as uint8 [6, 32, 24, 3] seems to be": replace(
        GOOD, images=torch.zeros(6, 32, 24, 3, dtype=torch.uint8)
    ),
    "[N, C, H, W], not [N, H, W, C] as uint8 [6, 28, 28, 1] seems to be": replace(
        GOOD, images=bb.LazyImages(lambda _: np.zeros((28, 28, 1), np.uint8), (6, 28, 28, 1), files=())
    ),
    "int64 tensor [N], not int32 [6]": replace(GOOD, labels=GOOD.labels.int()),
    "int64 tensor [N], not int64 [6, 1]": replace(GOOD, labels=GOOD.labels[:, None]),
    "has no images": bb.Split(GOOD.images[:0], GOOD.labels[:0]),
    "has 6 images but 5 labels": replace(GOOD, labels=GOOD.labels[:5]),
    "has 6 images but 5 names": replace(GOOD, names=GOOD.names[:5]),
    "has image names that are no texts: 0, 1, 2, and 3 more": replace(GOOD, names=tuple(range(6))),  # type: ignore[arg-type]
    "has labels 0..2, but 2 class names, for 0..1": replace(GOOD, labels=torch.arange(6) // 2),
    "has labels -1..1, but": replace(GOOD, labels=torch.arange(6) // 2 - 1),
}


@pytest.mark.parametrize("problem", BAD_SPLITS)
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_split_that_cannot_be_used_is_refused_by_name(problem: str, part: str) -> None:
    splits = bb.Splits(GOOD, GOOD, GOOD, ("dark", "bright"))
    check_splits("squares", splits)
    with pytest.raises(DataError) as caught:
        check_splits("squares", replace(splits, **{part: BAD_SPLITS[problem]}))
    assert f"dataset 'squares' is wrong: {part} " in caught.value.message
    assert problem in caught.value.message


class NamedByAnArray(Squares, name="named-by-an-array"):
    """Has the names of its images in an array."""

    def load(self, root: Path) -> bb.Splits:
        splits = super().load(root)
        named = {name: replace(split, names=np.array(split.names)) for name, split in splits.items()}
        return replace(splits, **named)


def test_names_of_images_may_be_an_array(tmp_path: Path) -> None:
    file = tmp_path / "squares"
    file.write_text("6", encoding="utf-8")
    loaded = data_cache.load(NamedByAnArray(), file)
    assert loaded.splits["val"].names == GOOD.names
    assert data_cache.digest_of(NamedByAnArray(), file) == loaded.facts.digest


@pytest.mark.parametrize(
    "shape", [(5, 3, 3), (9, 128, 1), (40, 100, 1), (3, 32, 32), (13, 64, 64), (3, 32, 4), (6, 4, 4)]
)
def test_images_of_unusual_shapes_are_not_mistaken_for_others(shape: tuple[int, ...]) -> None:
    split = replace(GOOD, images=torch.zeros(6, *shape, dtype=torch.uint8))
    check_splits("squares", bb.Splits(split, split, split, ("dark", "bright")))


@pytest.mark.parametrize("class_names", [(1, 2), ("dark", None)])
def test_names_of_classes_that_are_no_texts_are_refused(class_names: Any) -> None:
    with pytest.raises(DataError, match=r"class names must be texts: \["):
        check_splits("squares", bb.Splits(GOOD, GOOD, GOOD, class_names))


@pytest.mark.parametrize("class_names", [(), ("dark", "dark"), ("dark", "")])
def test_names_of_labels_that_are_missing_or_repeated_are_refused(class_names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"every class needs a name|two classes have the same name"):
        check_splits("squares", bb.Splits(GOOD, GOOD, GOOD, class_names))


def test_splits_of_different_shapes_are_refused() -> None:
    other = square(6, side=5, shade=1)
    with pytest.raises(DataError, match=r"different shapes: .*\[3, 4, 4\].*\[3, 5, 5\]"):
        check_splits("squares", bb.Splits(GOOD, GOOD, other, ("dark", "bright")))


def test_all_that_is_wrong_is_said_at_once() -> None:
    splits = bb.Splits(
        replace(GOOD, labels=GOOD.labels[:5]), GOOD, replace(GOOD, images=GOOD.images.float()), ("a", "a")
    )
    with pytest.raises(DataError) as caught:
        check_splits("squares", splits)
    for problem in ("two classes have the same name: ['a']", "train has 6 images but 5 labels", "test images must be"):
        assert problem in caught.value.message


def test_images_labels_and_shapes_that_are_wrong_are_said_together() -> None:
    train = replace(GOOD, images=GOOD.images.float(), labels=GOOD.labels.int())
    val = replace(square(6, side=5, shade=1), labels=GOOD.labels[:5] + 1, names=GOOD.names[:4])
    with pytest.raises(DataError) as caught:
        check_splits("squares", bb.Splits(train, val, GOOD, ("dark", "bright")))
    assert caught.value.message.removeprefix("dataset 'squares' is wrong: ").split("; ") == [
        "train images must be a uint8 tensor [N, C, H, W], not float32 [6, 3, 4, 4]",
        "train labels must be an int64 tensor [N], not int32 [6]",
        "val has labels 1..2, but 2 class names, for 0..1",
        "val has 6 images but 5 labels",
        "val has 6 images but 4 names",
        "the splits have images of different shapes: {'val': [3, 5, 5], 'test': [3, 4, 4]}",
    ]


def test_what_follows_from_a_problem_is_no_second_one() -> None:
    empty = replace(GOOD, images=GOOD.images[:0])
    with pytest.raises(DataError, match=r"wrong: train has no images: their tensor is uint8 \[0, 3, 4, 4\]$"):
        check_splits("squares", bb.Splits(empty, GOOD, GOOD, ("dark", "bright")))


def test_a_load_without_a_return_is_refused_with_its_line(root: Path) -> None:
    class Forgetful(Squares, name="forgetful"):
        def load(self, root: Path) -> None:
            super().load(root)

    hint = r"load\(\) returns nothing; is a return .*test_split_checks\.py, line \d"
    with pytest.raises(DataError, match=f"'forgetful': {hint}"):
        data_cache.load(Forgetful(), root)


def test_digest_changes_with_a_pixel_a_label_and_the_shape() -> None:
    def digest_with(split: bb.Split) -> str:
        return digest(bb.Splits(split, split, split, ("dark", "bright")))

    pixel = GOOD.images.clone()
    pixel[0, 0, 0, 0] += 1
    variants = [
        GOOD,
        replace(GOOD, images=pixel),
        replace(GOOD, labels=1 - GOOD.labels),
        replace(GOOD, images=GOOD.images.reshape(6, 3, 2, 8)),
    ]
    assert len({digest_with(split) for split in variants}) == 4
    assert digest_with(replace(GOOD, images=GOOD.images.mT)) == digest_with(GOOD)
