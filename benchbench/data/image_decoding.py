"""From an image file that Pillow reads to a square of RGB pixels: the one place of the core where files are decoded."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from benchbench.data.fit import fit_image, planes
from benchbench.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.data.fit import Color
    from benchbench.plugin.dataset import Fit

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

NO_IMAGES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats in Pillow's list that it cannot decode by itself."""

_NEW_SUBFILE_TYPE, _REDUCED = 254, 1
"""The tag of a TIFF file that says what an image is, and its bit for a reduced version of another (TIFF 6.0, p. 36)."""

_BITS_PER_SAMPLE = 258
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
"""The tag of a TIFF file that says what its numbers mean; Pillow inverts those of up to 8 bits itself (p. 37)."""

_CANON = b"CR\x02\x00"
"""What follows the header of Canon's raw files, with their version: their first image is a preview."""

BYTE_MAX = 255
_MAX_16 = 65_535
_OVERSHOT = (-0.1, 1.1)
"""Between which numbers on a scale of 0 to 1 may lie: resizing overshoots it."""

_LARGEST = {"1": 1, "L;2": 3, "L;4": 15}
"""The largest value of a gray pixel of fewer than 8 bits, by what Pillow calls them."""


def decode(content: bytes, *, side: int, fit: Fit, background: Color) -> Pixels:
    """Return the first frame of an image file as uint8 ``[3, side, side]``.

    The orientation in its EXIF data is applied, and transparent pixels show the background. Raises what Pillow raises
    for a damaged file.
    """
    with opened(content) as image:
        if fit != "crop":
            image.draft(None, (2 * side, 2 * side))  # a JPEG file is decoded at a fraction of its size, and faster
        image.load()
        turn(image)
        return planes(fit_image(to_rgb(image, background), side, fit=fit, background=background))


def opened(content: bytes) -> Image.Image:
    """Return the image in a file, not decoded yet; raises :class:`DataError` for one that Pillow does not read.

    The content decides the format, not the name: a program would run PostScript, whatever the file is called.
    """
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise DataError("no image in a format that Pillow reads" if content else "the file is empty") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise DataError(f"it has more than {limit:.0f} million pixels: scale it down") from None
    if image.format in NO_IMAGES:
        raise DataError(f"{image.format} is not an image format")
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_preview(image, content):
        raise DataError("a camera's raw file, of which only the preview could be read: convert it")
    _scale_transparent_color(image)
    return image


def _is_preview(image: TiffImagePlugin.TiffImageFile, content: bytes) -> bool:
    """Tell whether the first image of a TIFF file is a small one of another image in it, as in a camera's raw file."""
    kind = _tag(image, _NEW_SUBFILE_TYPE)
    return content[8:12] == _CANON or (isinstance(kind, int) and bool(kind & _REDUCED))


def _scale_transparent_color(image: ImageFile.ImageFile) -> None:
    """Bring the transparent color of a PNG file to 8 bits: Pillow does so with pixels, but leaves the color."""
    transparent = image.info.get("transparency")
    stored = image.tile[0][3] if image.format == "PNG" and image.tile else ""
    if stored == "RGB;16B" and isinstance(transparent, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
    elif stored in _LARGEST and isinstance(transparent, int):
        image.info["transparency"] = min(transparent, _LARGEST[stored]) * BYTE_MAX // _LARGEST[stored]


def turn(image: Image.Image) -> None:
    """Turn an image upright in place, as its EXIF data say; unreadable EXIF data are ignored."""
    with suppress(SyntaxError, ValueError, TypeError, KeyError, AttributeError, EOFError, struct.error):
        ImageOps.exif_transpose(image, in_place=True)


def to_rgb(image: Image.Image, background: Color) -> Image.Image:
    """Return the image in RGB: more bits scaled to 8, and transparent pixels over the background."""
    if image.mode.startswith("I"):
        image = _gray_of_integers(image)
    elif image.mode == "F":
        numbers = np.asarray(image)
        image = _gray(image, numbers * _scale_of_floats(numbers))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        below = Image.new("RGBA", over.size, (*background, 255))
        image = Image.alpha_composite(below, over)
    return image if image.mode == "RGB" else image.convert("RGB")


def _gray_of_integers(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    # Pillow reads unsigned numbers of 32 bits as signed ones, so that large ones are negative here.
    if values.size and (values.min() < 0 or values.max() > _MAX_16):
        raise DataError(f"its numbers are not between 0 and {_MAX_16:,}")
    gray = _gray(image, values >> _bits_above_8(image, values))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray(np.where(values == transparent, 0, BYTE_MAX).astype(np.uint8)))
    return gray


def _bits_above_8(image: Image.Image, values: NDArray[np.int64]) -> int:
    # Arrays of 32-bit numbers that someone saved as TIFF may hold 8 bits; on a scale of 16 they would be black.
    if image.mode == "I" and image.format == "TIFF" and values.size and values.max() <= BYTE_MAX:
        return 0
    return 4 if _tag(image, _BITS_PER_SAMPLE) == (12,) else 8


def _gray(image: Image.Image, pixels: NDArray[Any]) -> Image.Image:
    """Return pixels of 0 to 255 as an image in gray; those of a TIFF file in which 0 is white are inverted."""
    bytes_of_pixels = np.clip(pixels, 0, BYTE_MAX).astype(np.uint8)
    is_inverted = _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
    return Image.fromarray(BYTE_MAX - bytes_of_pixels if is_inverted else bytes_of_pixels)


def _tag(image: Image.Image, number: int) -> object:
    """Return what a TIFF file has for a tag; None without it, and for other files."""
    return image.tag_v2.get(number) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _scale_of_floats(values: NDArray[np.float32]) -> int:
    """Return what numbers are multiplied with to become 0 to 255."""
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    for scale in (BYTE_MAX, 1):
        largest = BYTE_MAX / scale
        if _OVERSHOT[0] * largest <= low and high <= _OVERSHOT[1] * largest:
            return scale
    raise DataError("its numbers are neither 0 to 1 nor 0 to 255")  # also if one is not a number
