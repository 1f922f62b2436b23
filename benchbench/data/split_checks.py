"""Checks of what a dataset plugin returned.

A plugin may return torch's tensors or numpy's arrays; nothing here needs torch to look at them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.errors import DataError, listed
from benchbench.plugin.dataset import LazyImages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchbench.data.split_arrays import SplitArrays
    from benchbench.plugin.dataset import Dataset, Split, Splits

CHANNELS = (1, 3, 4)
"""How many channels gray images, color images and those with transparency have."""

SMALLEST_SIDE = 8
"""The shorter side of the smallest images that are worth recognising by their shape, in pixels."""

_MAX_NAMED = 3


def check_splits(name: str, splits: Splits) -> None:
    """Raise :class:`~benchbench.errors.DataError` with everything that is wrong with what dataset ``name`` loaded."""
    problems = list(splits_problems(splits))
    if problems:
        raise DataError(
            f"dataset {name!r} is wrong: {'; '.join(problems)}", hint="for the plugin's author: bench plugin check"
        )


def splits_problems(splits: Splits) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with what a dataset loaded; nothing if it can be used."""
    names = splits.class_names
    if not all(isinstance(name, str) for name in names):
        yield f"class names must be texts: {list(names)}"
    elif not names or not all(names):
        yield f"every class needs a name: {list(names)}"
    elif len(set(names)) < len(names):
        yield f"two classes have the same name: {sorted({name for name in names if names.count(name) > 1})}"
    shapes = {}
    for split_name, split in splits.items():
        of_images = _images_problem(split.images)
        problems = (of_images, _labels_problem(split.labels, num_classes=len(names)))
        yield from (f"{split_name} {problem}" for problem in problems if problem)
        if not of_images:
            shapes[split_name] = list(split.images.shape[1:])
            yield from (f"{split_name} {problem}" for problem in _count_problems(split))
    if len(set(map(tuple, shapes.values()))) > 1:
        yield f"the splits have images of different shapes: {shapes}"


def _count_problems(split: Split) -> Iterator[str]:
    num_images = len(split.images)
    if _are_labels(split.labels) and len(split.labels) != num_images:
        yield f"has {num_images} images but {len(split.labels)} labels"
    names: Sequence[object] = split.names
    if len(names) and len(names) != num_images:
        yield f"has {num_images} images but {len(names)} names"
    wrong = [repr(name) for name in names if not isinstance(name, str)]
    if wrong:
        yield f"has image names that are no texts: {listed(wrong, _MAX_NAMED)}"


def _images_problem(images: Any) -> str:
    if not _is(images, "uint8", num_dimensions=4):
        return f"images must be a uint8 tensor [N, C, H, W], not {_describe(images)}"
    if 0 in images.shape:
        return f"has no images: their tensor is {_describe(images)}"
    if _has_channels_last(images.shape):
        fix = "images.transpose(0, 3, 1, 2) in numpy, or images.permute(0, 3, 1, 2) in torch"
        return f"images must be [N, C, H, W], not [N, H, W, C] as {_describe(images)} seems to be: {fix}"
    return ""


def _has_channels_last(shape: Sequence[int]) -> bool:
    """Tell whether images look like ``[N, H, W, C]``: of a usual number of channels, and sides that fit each other.

    Tiny images of many channels do not, nor do series of numbers, which are images of a single column, unless there are
    as many channels as numbers.
    """
    _, height, width, num_channels = shape
    shorter, longer = sorted((height, width))
    longest = shorter if num_channels == 1 else 4 * shorter
    return num_channels in CHANNELS and shorter >= SMALLEST_SIDE and longer <= longest


def _labels_problem(labels: Any, *, num_classes: int) -> str:
    if not _are_labels(labels):
        return f"labels must be an int64 tensor [N], not {_describe(labels)}"
    if not len(labels):
        return ""
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest >= 0 and highest < num_classes:
        return ""
    return f"has labels {lowest}..{highest}, but {num_classes} class names, for 0..{num_classes - 1}"


def _are_labels(value: object) -> bool:
    return _is(value, "int64", num_dimensions=1)


def check_classes_left(splits: Splits, decoded: Mapping[str, SplitArrays]) -> None:
    """Raise :class:`~benchbench.errors.DataError` if all training images of a class were damaged and left out."""
    lost = sorted(set(splits.train.labels.tolist()) - set(decoded["train"].labels.tolist()))
    if lost:
        names = ", ".join(splits.class_names[label] for label in lost)
        raise DataError(f"none of the training images of {names} can be read")


def channels_problem(dataset: Dataset, *, num_channels: int) -> str:
    """Return what is wrong with ``mean`` or ``std`` for images of so many channels, or ""."""
    for field in ("mean", "std"):
        count = len(getattr(dataset, field))
        if count not in (1, num_channels):
            return f"dataset.{field} has {count} values for images of {num_channels} channels"
    return ""


def cut_problem(dataset: Dataset, image_shape: tuple[int, ...]) -> str:
    """Return what ``image_size`` would cut off stored images of shape ``[C, H, W]``, or "".

    ``fit = "crop"`` asks for it, and ``fit = "resize"`` resizes the images before.
    """
    _, height, width = image_shape
    size = dataset.image_size
    if max(height, width) <= size or dataset.fit != "pad":
        return ""
    return f"dataset.image_size {size} would cut the stored images of {height}x{width} pixels"


def _is(value: object, dtype: str, *, num_dimensions: int) -> bool:
    return _dtype(value) == dtype and len(getattr(value, "shape", ())) == num_dimensions


def _dtype(value: Any) -> str:
    """Return such as ``uint8`` for a tensor or an array, and "" for anything else."""
    is_array = hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "__array__")
    if not (is_array or isinstance(value, LazyImages)):
        return ""
    return str(value.dtype).removeprefix("torch.")


def _describe(value: Any) -> str:
    dtype = _dtype(value)
    return f"{dtype} {list(value.shape)}" if dtype else type(value).__name__
