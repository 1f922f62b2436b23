"""From any image that Pillow reads to a square of RGB pixels."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

Fit = Literal["resize", "crop", "pad"]
Colour = tuple[int, int, int]
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_SIXTEEN_BITS = 257
"""65,535 / 255: what scales 16 bits to 8."""


def decode(content: bytes, *, side: int, fit: Fit, background: Colour) -> Pixels:
    """Return the first frame of an image file as uint8 ``[side, side, 3]``.

    The orientation in its EXIF data is applied, and transparent pixels show the background. ``resize`` scales the
    shorter side to ``side`` and crops the centre. ``crop`` takes the centre as it is. ``pad`` scales an image down if
    it is too large. Both fill what is left over with the background. Raises what Pillow raises for a damaged file.
    """
    with Image.open(io.BytesIO(content)) as image:
        if fit != "crop":
            image.draft(None, (2 * side, 2 * side))  # a JPEG file is decoded at a fraction of its size, and faster
        square = _fitted(to_rgb(ImageOps.exif_transpose(image), background), side, fit, background)
    return np.asarray(square, dtype=np.uint8)


def to_rgb(image: Image.Image, background: Colour) -> Image.Image:
    """Return the image in RGB: 16 bits scaled to 8, and transparent pixels over the background."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip(values // _SIXTEEN_BITS, 0, 255).astype(np.uint8))
    elif image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scale = 255 if values.size and values.max() <= 1 else 1
        image = Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        below = Image.new("RGBA", over.size, (*background, 255))
        image = Image.alpha_composite(below, over)
    return image.convert("RGB")


def _fitted(image: Image.Image, side: int, fit: Fit, background: Colour) -> Image.Image:
    if fit == "resize":
        return ImageOps.fit(image, (side, side), method=Image.Resampling.BICUBIC)
    if fit == "pad":
        image.thumbnail((side, side), resample=Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
