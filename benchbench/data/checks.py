"""What a dataset plugin returned: whether it is what a dataset must be, and what identifies it.

A plugin may return torch's tensors or numpy's arrays. From here on they are arrays, so that nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.errors import DataError
from benchbench.plugin.base import Split, Splits
from benchbench.records.events import DataFacts, SplitFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

DIGEST_LENGTH = 32
"""Hexadecimal digits kept of a sha256; MLflow takes no more than 36 characters."""


@dataclass(frozen=True)
class SplitArrays:
    """One checked split. images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: N image names, or none."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def check_splits(name: str, splits: Splits) -> dict[str, SplitArrays]:
    """Return what dataset ``name`` loaded as arrays, by ``train``, ``val`` and ``test``.

    Raises :class:`~benchbench.errors.DataError` if it cannot be used.
    """
    if not isinstance(splits, Splits):
        raise _wrong(name, f"load() returned {type(splits).__name__}, not Splits")
    class_names = splits.class_names
    if not class_names or len(set(class_names)) < len(class_names) or not all(class_names):
        raise _wrong(name, f"its class names are not all there and different: {list(class_names)}")
    for part, split in splits.items():
        for problem in _problems(split, num_classes=len(class_names)):
            raise _wrong(name, f"{part} {problem}")
    shapes = {tuple(split.images.shape[1:]) for _, split in splits.items()}
    if len(shapes) > 1:
        raise _wrong(name, f"its splits have images of different shapes: {sorted(shapes)}")
    return {
        part: SplitArrays(_array(split.images), _array(split.labels), tuple(split.names))
        for part, split in splits.items()
    }


def _wrong(name: str, problem: str) -> DataError:
    return DataError(f"dataset {name!r} is wrong: {problem}", hint="this is for the author of the plugin to mend")


def _problems(split: Split, *, num_classes: int) -> Iterator[str]:
    """Yield what is wrong with a split; after the first, the others may not make sense."""
    images, labels = split.images, split.labels
    if not _is(images, "uint8", num_dimensions=4):
        yield f"images must be a uint8 tensor [N, C, H, W], not {_describe(images)}"
    if not _is(labels, "int64", num_dimensions=1):
        yield f"labels must be an int64 tensor [N], not {_describe(labels)}"
    if 0 in images.shape:
        yield f"has no images: their tensor is {_describe(images)}"
    if len(images) != len(labels):
        yield f"has {len(images)} images but {len(labels)} labels"
    if split.names and len(split.names) != len(images):
        yield f"has {len(images)} images but {len(split.names)} names"
    least, largest = int(labels.min()), int(labels.max())
    if least < 0 or largest >= num_classes:
        yield f"labels are {least}..{largest}, but there are names for 0..{num_classes - 1}"


def _is(value: object, dtype: str, *, num_dimensions: int) -> bool:
    return _dtype(value) == dtype and len(getattr(value, "shape", ())) == num_dimensions


def _dtype(value: object) -> str:
    """Return ``uint8`` for a tensor's or an array's type of number, and nothing for what is neither."""
    if not (hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "__array__")):
        return ""
    return str(value.dtype).removeprefix("torch.")


def _describe(value: Any) -> str:
    dtype = _dtype(value)
    return f"{dtype} {list(value.shape)}" if dtype else type(value).__name__


def _array(value: Any) -> NDArray[Any]:
    """Return a tensor or an array as an array whose values lie in order."""
    return np.ascontiguousarray(value)


def facts_of(splits: Mapping[str, SplitArrays], *, class_names: tuple[str, ...], source: str) -> DataFacts:
    """Return what identifies the splits: digests over dtype, shape and bytes of their images and labels."""
    facts = {part: SplitFacts(len(split), digest_of_split(split)) for part, split in splits.items()}
    channels, height, width = splits["train"].images.shape[1:]
    return DataFacts(
        digest=_shortened(hashlib.sha256("".join(part.digest for part in facts.values()).encode())),
        class_names=class_names,
        splits=facts,
        source=source,
        image_shape=(channels, height, width),
    )


def digest_of_split(split: SplitArrays) -> str:
    """Return the digest of one split's images and labels, 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in (split.images, split.labels):
        digest.update(_describe(array).encode())
        digest.update(array.data)
    return _shortened(digest)


def _shortened(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:DIGEST_LENGTH]
