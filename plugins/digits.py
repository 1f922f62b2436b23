"""Handwritten digits: real images that come with scikit-learn, so that nothing needs to be downloaded.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998:
its test part, 1,797 images of 8x8 with 17 shades of gray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from PIL import Image

import benchbench as bb

if TYPE_CHECKING:
    from pathlib import Path

NUM_CLASSES = 10
IMAGE_SIDE = 64
BRIGHTEST = 16
"""The value of full ink in the images as they come, which becomes 255."""


class Digits(bb.Dataset, name="digits"):
    """1,797 handwritten digits that need no download: 80 % to train, 10 % to validate and 10 % to test on."""

    load_uses: ClassVar[frozenset[str]] = frozenset()
    augmentation: ClassVar[str] = "none"  # a flipped digit is no digit

    image_size: int = bb.param(64, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param((0.305,), "mean to subtract from pixels in 0..1: that of the training images")
    std: tuple[float, ...] = bb.param((0.325,), "standard deviation to divide by: that of the training images")

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return nothing: the images are part of scikit-learn."""
        return ()

    def load(self, root: Path) -> bb.Splits:
        """Return the images as 64x64 RGB, enlarged by linear interpolation."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(enlarge(digits.images)).unsqueeze(1).expand(-1, 3, -1, -1)
        labels = torch.from_numpy(digits.target).long()
        train, val, test = (
            bb.Split(images[rows].contiguous(), labels[rows], tuple(f"digit_{row:04}" for row in rows.tolist()))
            for rows in split_rows(labels)
        )
        return bb.Splits(train=train, val=val, test=test, class_names=tuple("0123456789"))


def enlarge(
    images: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return ``[N, 8, 8]`` of 0..16 as uint8 ``[N, 64, 64]``.

    Pillow computes with integers here, so the result is the same on every machine.
    """
    pixels = np.rint(images * (255 / BRIGHTEST)).astype(np.uint8)
    size = (IMAGE_SIDE, IMAGE_SIDE)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in pixels])


def split_rows(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the rows of train, val and test: of ten images of a class, the fifth is for val and the tenth for test.

    The images come writer by writer; this spreads all writers over the three parts, whatever the seed.
    """
    ranks = torch.empty_like(labels)
    for label in range(NUM_CLASSES):
        rows = (labels == label).nonzero().squeeze(1)
        ranks[rows] = torch.arange(len(rows)) % 10
    is_val, is_test = ranks == 4, ranks == 9  # noqa: PLR2004 - two of ten
    return tuple(mask.nonzero().squeeze(1) for mask in (~(is_val | is_test), is_val, is_test))  # type: ignore[return-value]


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the digits."""
    return [Digits]
