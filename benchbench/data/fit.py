"""How an image becomes a square: the one place where images are resized."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from benchbench.errors import DataError
from benchbench.plugin.dataset import LazyImages

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.plugin.dataset import Dataset, Fit, Split, Splits

Color = tuple[int, int, int]
BLACK: Color = (0, 0, 0)

_RGB = 3


def fit_image(image: Image.Image, side: int, *, fit: Fit, background: Color = BLACK) -> Image.Image:
    """Return an RGB image as a square of ``side`` pixels.

    ``resize`` scales the shorter side to ``side``, with antialiasing, and takes the center. ``crop`` takes the center
    as it is. ``pad`` scales an image down if it is too large. The last two fill what is left over with the background.
    """
    if fit == "resize":
        return _resized(image, (side, side))
    if fit == "pad":
        image.thumbnail((side, side), resample=Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def planes(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image in RGB or gray as uint8 ``[C, H, W]``, which is faster than to transpose its pixels."""
    bands = image.getbands()
    pixels = bytearray().join(image.tobytes("raw", band) for band in bands)
    return np.frombuffer(pixels, dtype=np.uint8).reshape(len(bands), image.height, image.width)


def fit_splits(splits: Splits, dataset: Dataset) -> dict[str, Split]:
    """Return the splits, their images resized if ``fit`` says so and they have another size.

    ``crop`` and ``pad`` change no pixel, so they are left to the batches.
    """
    side = dataset.image_size
    return {
        split_name: replace(split, images=_resized_when_read(split.images, side))
        if dataset.fit == "resize" and tuple(split.images.shape[2:]) != (side, side)
        else split
        for split_name, split in splits.items()
    }


def resize_images(images: NDArray[np.uint8], size: tuple[int, int]) -> LazyImages:
    """Return images ``[N, C, H, W]`` resized to ``size``, a height and a width, when they are read.

    Pillow computes with integers here, so the pixels are the same on every machine.
    """

    def read(row: int) -> NDArray[np.uint8]:
        return _resize_array(images[row], size)

    number, channels = images.shape[:2]
    return LazyImages(read, (number, channels, *size), tuple(f"image {row}" for row in range(number)))


def _resized_when_read(images: Tensor | NDArray[np.uint8] | LazyImages, side: int) -> LazyImages:
    if not isinstance(images, LazyImages):
        return resize_images(np.ascontiguousarray(images), (side, side))

    def read(row: int) -> NDArray[np.uint8]:
        image = images.read(row)
        if image.shape != images.shape[1:] or image.dtype != np.uint8:
            raise DataError(f"it is {image.dtype} {list(image.shape)}, not uint8 {list(images.shape[1:])}")
        return _resize_array(image, (side, side))

    number, channels = images.shape[:2]
    shape = (number, channels, side, side)
    return LazyImages(read, shape, images.files, skip_damaged=images.skip_damaged, hint=images.hint)


def pad_or_crop(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` as the network sees them: the center of each, with black where it is smaller."""
    height, width = images.shape[2:]
    top, left = round((max(height, side) - side) / 2), round((max(width, side) - side) / 2)
    images = images[:, :, top : top + side, left : left + side]
    height, width = side - images.shape[2], side - images.shape[3]
    rows, columns = (height // 2, height - height // 2), (width // 2, width - width // 2)
    return np.pad(images, ((0, 0), (0, 0), rows, columns))


def _resize_array(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if len(image) == _RGB:
        return planes(_resized(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))), size))
    channels = (np.asarray(_resized(Image.fromarray(channel), size), dtype=np.uint8) for channel in image)
    return np.stack(list(channels))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the center of an image, scaled so that it fills ``size``, a height and a width."""
    height, width = size
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)
