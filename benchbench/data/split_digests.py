"""Digests that identify the images and labels of a dataset."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from benchbench.data.split_arrays import readable
from benchbench.records.events import DataFacts, SplitFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from benchbench.data.split_arrays import SplitArrays

DIGEST_LENGTH = 32
"""Hexadecimal digits kept of a sha256; MLflow takes no more than 36 characters."""


def data_facts_of(
    splits: Mapping[str, SplitArrays],
    *,
    class_names: tuple[str, ...],
    source: str,
    skipped: tuple[str, ...] = (),
    note: str = "",
    digests: Mapping[str, str] | None = None,
) -> DataFacts:
    """Return the facts that identify the splits: digests of dtype, shape and bytes of their images and labels.

    ``digests`` are those that are known already.
    """
    known = digests or {}
    facts = {
        split_name: SplitFacts(len(split), known.get(split_name) or digest_of_split(split))
        for split_name, split in splits.items()
    }
    channels, height, width = splits["train"].images.shape[1:]
    return DataFacts(
        digest=_shortened(hashlib.sha256("".join(each.digest for each in facts.values()).encode())),
        class_names=readable(class_names),
        splits=facts,
        source=readable([source])[0],
        image_shape=(channels, height, width),
        skipped=skipped,
        note=readable([note])[0],
    )


class SplitDigest:
    """The digest of a split while it grows: of its images in their order, then of its labels."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._digest = hashlib.sha256(f"uint8 {[int(length) for length in shape]}".encode())

    def add(self, pixels: bytes | memoryview) -> None:
        """Add the images that follow."""
        self._digest.update(pixels)

    def with_labels(self, labels: NDArray[np.int64]) -> str:
        """Return the digest with the labels, 32 hexadecimal digits."""
        self._digest.update(f"{labels.dtype} {list(labels.shape)}".encode())
        self._digest.update(labels.data)
        return _shortened(self._digest)


def digest_of_split(split: SplitArrays) -> str:
    """Return the digest of one split's images and labels, 32 hexadecimal digits."""
    digest = SplitDigest(split.images.shape)
    digest.add(split.images.data)
    return digest.with_labels(split.labels)


def _shortened(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:DIGEST_LENGTH]
