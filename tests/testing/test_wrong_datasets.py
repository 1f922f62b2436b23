"""One deliberately wrong dataset for each check of datasets, which that check catches."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from support.check_outcomes import caught

import benchbench as bb
from benchbench.testing.checks_by_kind import plugin_outcomes
from benchbench.testing.dataset import CHECKS

if TYPE_CHECKING:
    from pathlib import Path

COUNT = itertools.count()


class Images(bb.Dataset, name="images"):
    """Three splits of four images that have nothing in common."""

    def load(self, root: Path) -> bb.Splits:
        train, val, test = (self.split(number) for number in range(3))
        return bb.Splits(train, val, test, ("a", "b"))

    def split(self, number: int) -> bb.Split:
        generator = torch.Generator().manual_seed(number)
        images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=generator)
        return bb.Split(images, torch.tensor([0, 1, 0, 1]))


class Raises(Images, name="raises"):
    def load(self, root: Path) -> bb.Splits:
        return bb.Splits(root.missing)  # type: ignore[attr-defined]


class Ends(Images, name="ends"):
    def load(self, root: Path) -> bb.Splits:
        sys.exit()


class Floats(Images, name="floats"):
    def split(self, number: int) -> bb.Split:
        split = super().split(number)
        return bb.Split(split.images.float(), split.labels)


class ChannelsLast(Images, name="channels-last"):
    def split(self, number: int) -> bb.Split:
        split = super().split(number)
        return bb.Split(split.images.permute(0, 2, 3, 1), split.labels)


class NumberedClasses(Images, name="numbered-classes"):
    def load(self, root: Path) -> bb.Splits:
        return replace(super().load(root), class_names=(1, 2))  # type: ignore[arg-type]


class OneClass(Images, name="one-class"):
    def split(self, number: int) -> bb.Split:
        return bb.Split(super().split(number).images, torch.zeros(4, dtype=torch.int64))


class Unnamed(Images, name="unnamed"):
    def split(self, number: int) -> bb.Split:
        split = super().split(number)
        return bb.Split(split.images, split.labels, ("a", "b", "", "d"))


class Black(Images, name="black"):
    def split(self, number: int) -> bb.Split:
        split = super().split(number)
        return bb.Split((split.images / 255).to(torch.uint8) * 0, split.labels)


class Alike(Images, name="alike"):
    def split(self, number: int) -> bb.Split:
        split = super().split(number)
        return bb.Split(split.images[:1].repeat(4, 1, 1, 1), split.labels)


class Shared(Images, name="shared"):
    def split(self, number: int) -> bb.Split:
        return super().split(number // 2)


class Restless(Images, name="restless"):
    def split(self, number: int) -> bb.Split:
        return super().split(number + 3 * next(COUNT))


class Cut(Images, name="cut"):
    image_size: int = bb.param(4, "smaller than the images")


class FewMeans(Images, name="few-means"):
    mean: tuple[float, ...] = bb.param((0.5, 0.5), "two for three channels")


class ReadsTheSize(Images, name="reads-the-size"):
    load_uses: ClassVar[frozenset[str]] = frozenset()

    def split(self, number: int) -> bb.Split:
        return super().split(number + self.image_size)


class ReadsTheMean(Images, name="reads-the-mean"):
    load_uses: ClassVar[frozenset[str]] = frozenset({"image_size", "fit"})

    def split(self, number: int) -> bb.Split:
        return super().split(number + round(255 * self.mean[0]))


class NoSources(Images, name="no-sources"):
    def sources(self, root: Path) -> tuple[Path, ...]:
        return ()

    def load(self, root: Path) -> bb.Splits:
        train, val, test = (self.split(number + 3 * len(root.name)) for number in range(3))
        return bb.Splits(train, val, test, ("a", "b"))


class TextSources(Images, name="text-sources"):
    def sources(self, root: Path) -> Any:
        return str(root)


WRONG_DATASETS = [
    (Raises(), "loads", "dataset 'raises' failed in load(): AttributeError"),
    (Ends(), "loads", "it ends Python (exit code 0) ("),
    (Floats(), "images and labels", "train images must be a uint8 tensor"),
    (ChannelsLast(), "images and labels", "not [N, H, W, C] as uint8 [4, 8, 8, 3] seems to be"),
    (NumberedClasses(), "images and labels", "class names must be texts: [1, 2]"),
    (OneClass(), "classes", "there are no training images of 'b'"),
    (Unnamed(), "image names", "train has names that are no texts: ''"),
    (Black(), "image content", "100% of the train images have one value in all pixels"),
    (Alike(), "image content", "all train images are alike"),
    (Shared(), "disjoint splits", "4 of 4 val images are in train as well"),
    (Restless(), "same images again", "train, val, test is not the same when loaded again"),
    (ReadsTheSize(), "load uses", "with another image_size and fit and mean and std, load() returns other images"),
    (ReadsTheMean(), "load uses", "with another mean and std, load() returns other images"),
    (NoSources(), "sources", "load() reads root, and sources() names no file"),
    (Cut(), "image size", "dataset.image_size 4 would cut the stored images of 8x8 pixels"),
    (FewMeans(), "mean and std", "dataset.mean has 2 values for images of 3 channels"),
    (TextSources(), "sources", "sources() returns 'text-sources'"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_DATASETS)
def test_a_wrong_dataset_is_caught(plugin: bb.Dataset, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


def test_the_dataset_that_the_wrong_ones_are_made_of_is_well() -> None:
    assert [outcome for outcome in plugin_outcomes(Images()) if outcome.result != "passed"] == []


def test_every_check_has_a_wrong_dataset() -> None:
    assert {check.name for check in CHECKS} == {name for _, name, _ in WRONG_DATASETS}
