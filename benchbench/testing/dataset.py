"""Checks of a dataset: what ``load`` returns, and whether it is always the same."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.data.parallel_decoding import decode_lazy
from benchbench.data.shared_images import shared_images
from benchbench.data.split_checks import channels_problem, check_splits, cut_problem, splits_problems
from benchbench.data.split_digests import data_facts_of
from benchbench.plugin.dataset import Splits
from benchbench.plugin.failures import check_returned, failures_named
from benchbench.testing import parameters
from benchbench.testing.checking import BrokenPromiseError, check, outcomes, raise_failures, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.data.split_arrays import SplitArrays
    from benchbench.plugin.dataset import Dataset
    from benchbench.protocol.plugin_check_messages import CheckOutcome

MAX_SHARED = 0.01
"""The largest fraction of a split's images that may be in another split, or of one color: real sets have some."""


class DatasetSubject:
    """A dataset, and what it loaded from ``root``."""

    def __init__(self, dataset: Dataset, root: Path) -> None:
        self.dataset = dataset
        self.root = root

    def load(self) -> Splits:
        """Return what the plugin loads now."""
        with failures_named(self.dataset, method="load"):
            splits = self.dataset.load(self.root)
        return check_returned(splits, Splits, plugin=self.dataset, function=self.dataset.load)

    @cached_property
    def splits(self) -> Splits:
        """What it loaded the first time."""
        return self.load()

    @cached_property
    def arrays(self) -> dict[str, SplitArrays]:
        """The splits that it loaded the first time, as arrays that were checked."""
        return self.arrays_of(self.splits)

    def arrays_of(self, splits: Splits) -> dict[str, SplitArrays]:
        """Return what was loaded as arrays, checked."""
        check_splits(self.dataset.name, splits)
        return decode_lazy(dict(splits.items()), None).splits


@check()
def loads(subject: DatasetSubject) -> None:
    """Check that ``load`` returns :class:`Splits`."""
    _ = subject.splits


@check(needs=(loads,))
def images_and_labels(subject: DatasetSubject) -> None:
    """Check that types, shapes, the range of labels, and the names of classes and images are as they must be."""
    problems = "; ".join(splits_problems(subject.splits))
    fix = "images are uint8 [N, C, H, W] of one shape, labels int64 [N] from 0, class_names texts in their order"
    require(not problems, problems, fix=fix)


@check(needs=(images_and_labels,))
def classes(subject: DatasetSubject) -> None:
    """Check that every class has images to train on."""
    labels = set(subject.arrays["train"].labels.tolist())
    empty = [name for label, name in enumerate(subject.splits.class_names) if label not in labels]
    fix = "split class by class, or leave out the names of classes that have no images"
    require(not empty, f"there are no training images of {_some(list(map(repr, empty)))}", fix=fix)


@check(needs=(images_and_labels,))
def image_names(subject: DatasetSubject) -> None:
    """Check that names of images, if there are any, are texts."""
    for split_name, split in subject.arrays.items():
        names: tuple[object, ...] = split.names
        wrong = [repr(name) for name in names if not isinstance(name, str) or not name]
        problem = f"{split_name} has names that are no texts: {_some(wrong)}"
        require(not wrong, problem, fix="name each image by its path")


@check(needs=(images_and_labels,))
def image_content(subject: DatasetSubject) -> None:
    """Check that images are not of a single color, and not all alike."""
    for split_name, split in subject.arrays.items():
        flat = split.images.reshape(len(split), -1)
        plain = float((flat.min(axis=1) == flat.max(axis=1)).mean())
        problem = f"{plain:.0%} of the {split_name} images have one value in all pixels"
        require(plain <= MAX_SHARED, problem, fix="look whether pixels are scaled to 0..255 before they become uint8")
        is_varied = len(split) == 1 or bool((flat != flat[:1]).any())
        problem = f"all {split_name} images are alike"
        require(is_varied, problem, fix="look at the index that load() uses for each image")


@check(needs=(images_and_labels,))
def disjoint_splits(subject: DatasetSubject) -> str:
    """Check that few images are in two splits, by their pixels: accuracy on images seen in training says nothing.

    Returns how many are.
    """
    shared = shared_images(subject.arrays)
    largest_fraction = max((each.fraction for each in shared), default=0.0)
    text = "; ".join(map(str, shared))
    fix = "shuffle once with a fixed seed, then cut into three parts; drop images that occur twice"
    require(largest_fraction <= MAX_SHARED, text, fix=fix)
    return text


@check(needs=(images_and_labels,))
def same_images_again(subject: DatasetSubject) -> None:
    """Check that ``load`` returns the same images and labels in the same order each time."""
    first, again = subject.arrays, subject.arrays_of(subject.load())
    digests = [_digest(subject, arrays) for arrays in (first, again)]
    if digests[0] != digests[1]:
        changed = [split_name for split_name in first if not _equal(first[split_name], again[split_name])]
        raise BrokenPromiseError(
            f"{', '.join(changed)} is not the same when loaded again",
            fix="sort what a folder or set gives, and draw from a generator of your own with a fixed seed",
        )


@check(needs=(same_images_again,))
def load_uses(subject: DatasetSubject) -> None:
    """Check that ``load`` reads none of the fields that ``load_uses`` leaves out: cached images would be stale."""
    dataset = subject.dataset
    others = {
        "image_size": dataset.image_size + 1,
        "fit": "crop" if dataset.fit == "pad" else "pad",
        "mean": tuple(value + 0.1 for value in dataset.mean),
        "std": tuple(value * 1.5 for value in dataset.std),
    }
    unused = {name: value for name, value in others.items() if name not in dataset.load_uses}
    if not unused:
        return
    other = DatasetSubject(dataset.model_copy(update=unused), subject.root)
    digests = [_digest(subject, subject.arrays), _digest(other, other.arrays)]
    problem = f"with another {' and '.join(unused)}, load() returns other images"
    fix = f"load_uses = frozenset({{{', '.join(map(repr, sorted({*dataset.load_uses, *unused})))}}})"
    require(digests[0] == digests[1], problem, fix=fix)


@check(needs=(images_and_labels,))
def image_size(subject: DatasetSubject) -> None:
    """Check that ``image_size`` keeps the whole of the stored images."""
    shape = _shape(subject)
    fix = f'give image_size the default {max(shape[1:])}, or fit the default "resize" or "crop"'
    problem = cut_problem(subject.dataset, shape)
    require(not problem, problem, fix=fix)


@check(needs=(images_and_labels,))
def mean_and_std(subject: DatasetSubject) -> None:
    """Check that ``mean`` and ``std`` have a value for each channel, or one for all."""
    problem = channels_problem(subject.dataset, num_channels=_shape(subject)[0])
    require(not problem, problem, fix="one value for each channel, or one for all")


@check(needs=(same_images_again,))
def sources(subject: DatasetSubject) -> None:
    """Check that ``sources`` returns the paths that ``load`` reads, by whose times decoded images are fresh."""
    paths: Any = subject.dataset.sources(subject.root)
    is_paths = isinstance(paths, tuple | list) and all(isinstance(path, Path) for path in paths)
    require(is_paths, f"sources() returns {paths!r}", fix="return a tuple of Path, such as (root,)")
    if paths:
        return
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        elsewhere = DatasetSubject(subject.dataset, Path(folder) / "nothing")
        try:
            is_same = _digest(elsewhere, elsewhere.arrays) == _digest(subject, subject.arrays)
        except Exception:  # noqa: BLE001 - without its files, load() may raise anything
            is_same = False
    problem = "load() reads root, and sources() names no file: images that change later would be missed"
    require(is_same, problem, fix="return (root,), or leave sources() out")


CHECKS = (
    loads,
    images_and_labels,
    classes,
    image_names,
    image_content,
    disjoint_splits,
    same_images_again,
    load_uses,
    image_size,
    mean_and_std,
    sources,
)


def dataset_outcomes(dataset: Dataset, root: Path | None = None) -> Iterator[CheckOutcome]:
    """Yield what each check of a dataset comes to."""
    yield from outcomes(parameters.CHECKS, dataset, dataset)
    yield from outcomes(CHECKS, DatasetSubject(dataset, root or default_root(dataset)), dataset)


def default_root(dataset: Dataset) -> Path:
    """Return the path that ``load`` is given if none was named."""
    return Path(dataset.download.file_name if dataset.download else dataset.name)


def check_dataset(dataset: Dataset, root: Path | None = None) -> None:
    """Check what ``load(root)`` returns: types, shapes, labels, names, splits without common images, and no change.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"dataset {dataset.name}", dataset_outcomes(dataset, root))


def loaded_digest(dataset: Dataset, root: Path) -> str:
    """Return the digest of the images and labels that the dataset loads in this process."""
    subject = DatasetSubject(dataset, root)
    return _digest(subject, subject.arrays)


def _digest(subject: DatasetSubject, arrays: dict[str, SplitArrays]) -> str:
    return data_facts_of(arrays, class_names=subject.splits.class_names, source="").digest


def _equal(one: SplitArrays, other: SplitArrays) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)


def _shape(subject: DatasetSubject) -> tuple[int, ...]:
    return tuple(subject.arrays["train"].images.shape[1:])


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - the same three
