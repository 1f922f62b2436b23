"""Images made by a formula, of any shape, size and number: to try things out, and to time them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import benchbench as bb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CELLS = 4
"""Each class has a pattern of this many shades a side and channel."""


class Synthetic(bb.Dataset, name="synthetic"):
    """Noisy patterns, one for each class, that a network learns quickly. Number, size and classes can be set.

    The images are the same on every machine. They need not fit into memory.
    """

    load_uses: ClassVar[frozenset[str]] = frozenset()
    augmentation: ClassVar[str] = "none"  # a flipped pattern is no pattern of its class

    image_size: int = bb.param(32, "side of the square that images become", ge=1, le=4096)
    height: int = bb.param(32, "pixels", ge=1, le=4096)
    width: int = bb.param(32, "pixels", ge=1, le=4096)
    channels: int = bb.param(3, "1 is gray, 3 is RGB", ge=1, le=16)
    num_classes: int = bb.param(10, "classes", ge=2, le=10_000)
    num_train: int = bb.param(1000, "images to train on", ge=1, le=100_000_000)
    num_val: int = bb.param(200, "images to validate on", ge=1, le=100_000_000)
    num_test: int = bb.param(200, "images to test on", ge=1, le=100_000_000)
    noise: float = bb.param(0.5, "fraction of an image that is noise; at 1 there is nothing to learn", ge=0, le=1)
    data_seed: int = bb.param(0, "seed of the images", ge=0)

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return nothing: the images are made."""
        return ()

    def load(self, root: Path) -> bb.Splits:
        """Return images whose pixels are bytes of SHAKE-128, so that no version of a library matters."""
        return bb.Splits(
            self._split("train", self.num_train),
            self._split("val", self.num_val),
            self._split("test", self.num_test),
            tuple(f"class {label}" for label in range(self.num_classes)),
        )

    def _split(self, split_name: str, number: int) -> bb.Split:
        labels = np.arange(number, dtype=np.int64) % self.num_classes
        shape = (number, self.channels, self.height, self.width)

        def read(row: int) -> NDArray[np.uint8]:
            noise = _bytes(f"{self.data_seed}/{split_name}/{row}", shape[1:])
            pattern = self._pattern(int(labels[row]))
            weight = round(256 * self.noise)
            return ((noise.astype(np.uint16) * weight + pattern.astype(np.uint16) * (256 - weight)) >> 8).astype(
                np.uint8
            )

        return bb.Split(bb.LazyImages(read, shape, tuple(f"{split_name} {row}" for row in range(number))), labels)

    def _pattern(self, label: int) -> NDArray[np.uint8]:
        shades = _bytes(f"{self.data_seed}/class {label}", (self.channels, CELLS, CELLS))
        rows = np.arange(self.height) * CELLS // self.height
        columns = np.arange(self.width) * CELLS // self.width
        return shades[:, rows[:, None], columns[None]]


def _bytes(text: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    stream = hashlib.shake_128(text.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(stream, dtype=np.uint8).reshape(shape)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the patterns."""
    return [Synthetic]
