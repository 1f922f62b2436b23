"""Counts images that are in two splits, pixel for pixel: accuracy on images seen in training says nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchbench.data.split_arrays import SplitArrays

_SAMPLE_BYTES = 64
"""How much of each image's middle is compared first: few images are alike there, and all others need not be read."""


@dataclass(frozen=True)
class SharedImages:
    """How many images of one split are in another one too."""

    split_name: str
    other: str
    num_shared: int
    num_images: int

    @property
    def fraction(self) -> float:
        """The fraction of the split's images that are in the other one."""
        return self.num_shared / self.num_images

    def __str__(self) -> str:
        return f"{self.num_shared} of {self.num_images} {self.split_name} images are in {self.other} as well"


def shared_images(splits: Mapping[str, SplitArrays]) -> list[SharedImages]:
    """Return for each two splits that share images how many of the later one are in the earlier one."""
    samples = {split_name: _samples(split.images) for split_name, split in splits.items()}
    shared = []
    for other, split_name in combinations(splits, 2):
        alike = set(samples[split_name]).intersection(samples[other])
        known = set(_digests(splits[other].images, samples[other], alike))
        num_shared = sum(digest in known for digest in _digests(splits[split_name].images, samples[split_name], alike))
        if num_shared:
            shared.append(SharedImages(split_name, other, num_shared, len(splits[split_name])))
    return shared


def _samples(images: NDArray[np.uint8]) -> list[bytes]:
    pixels = np.asarray(images).reshape(len(images), -1)
    start = max(0, (pixels.shape[1] - _SAMPLE_BYTES) // 2)
    return [sample.tobytes() for sample in pixels[:, start : start + _SAMPLE_BYTES]]


def _digests(images: NDArray[np.uint8], samples: Sequence[bytes], chosen: set[bytes]) -> list[bytes]:
    """Return digests of the images with one of the chosen samples."""
    rows = [row for row, sample in enumerate(samples) if sample in chosen]
    return [hashlib.blake2b(images[row].tobytes(), digest_size=16).digest() for row in rows]
