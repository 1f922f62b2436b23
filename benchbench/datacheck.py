"""What a dataset plugin returned: is it what a dataset must be, and what identifies it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchbench.errors import DataError
from benchbench.plugin import Split, Splits
from benchbench.record import DataFacts, SplitFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST_LENGTH = 32
"""Hexadecimal digits kept of a sha256; MLflow takes no more than 36 characters."""


def check_splits(name: str, splits: Splits) -> None:
    """Raise :class:`~benchbench.errors.DataError` where what dataset ``name`` loaded cannot be used."""
    if not isinstance(splits, Splits):
        raise _wrong(name, f"load() returned {type(splits).__name__}, not Splits")
    class_names = splits.class_names
    if not class_names or len(set(class_names)) < len(class_names) or not all(class_names):
        raise _wrong(name, f"the names of its labels are not all there and different: {list(class_names)}")
    for part, split in splits.items():
        for problem in _problems(split, num_classes=len(class_names)):
            raise _wrong(name, f"{part} {problem}")
    shapes = {tuple(split.images.shape[1:]) for _, split in splits.items()}
    if len(shapes) > 1:
        raise _wrong(name, f"its splits have pictures of different shapes: {sorted(shapes)}")


def _wrong(name: str, problem: str) -> DataError:
    return DataError(f"dataset {name!r} is wrong: {problem}", hint="this is for the author of the plugin to mend")


def _problems(split: Split, *, num_classes: int) -> Iterator[str]:
    """Yield what is wrong with a split; after the first, the others may not make sense."""
    images, labels = split.images, split.labels
    if not _is(images, torch.uint8, num_dimensions=4):
        yield f"images must be a uint8 tensor [N, C, H, W], not {_describe(images)}"
    if not _is(labels, torch.int64, num_dimensions=1):
        yield f"labels must be an int64 tensor [N], not {_describe(labels)}"
    if images.numel() == 0:
        yield f"has no pictures: their tensor is {_describe(images)}"
    if len(images) != len(labels):
        yield f"has {len(images)} images but {len(labels)} labels"
    if split.names and len(split.names) != len(images):
        yield f"has {len(images)} images but {len(split.names)} names"
    least, largest = (int(bound) for bound in labels.aminmax())
    if least < 0 or largest >= num_classes:
        yield f"labels are {least}..{largest}, but there are names for 0..{num_classes - 1}"


def _is(value: object, dtype: torch.dtype, *, num_dimensions: int) -> bool:
    return isinstance(value, Tensor) and value.dtype == dtype and value.dim() == num_dimensions


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def facts_of(splits: Splits, *, source: str) -> DataFacts:
    """Return what identifies the splits: digests over dtype, shape and bytes of their pictures and labels."""
    facts = {part: SplitFacts(len(split), digest_of_split(split)) for part, split in splits.items()}
    channels, height, width = splits.train.images.shape[1:]
    return DataFacts(
        digest=_shortened(hashlib.sha256("".join(part.digest for part in facts.values()).encode())),
        class_names=splits.class_names,
        splits=facts,
        source=source,
        image_shape=(channels, height, width),
    )


def digest_of_split(split: Split) -> str:
    """Return the digest of one split's pictures and labels, 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for tensor in (split.images, split.labels):
        digest.update(_describe(tensor).encode())
        digest.update(tensor.contiguous().numpy().data)
    return _shortened(digest)


def _shortened(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:DIGEST_LENGTH]
