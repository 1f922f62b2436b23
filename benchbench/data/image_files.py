"""From image files that Pillow reads to squares of RGB pixels, and what datasets of such files have in common."""

from __future__ import annotations

import io
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field, model_validator

from benchbench.data.fit import fit_image, planes
from benchbench.errors import DataError
from benchbench.plugin.base import param
from benchbench.plugin.dataset import Dataset, Fit, LazyImages, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[int, int, int]
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_CAMERAS_OWN = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2"})
UNREADABLE = _CAMERAS_OWN | {".avif", ".dcm", ".heic", ".heif", ".jxl", ".svg"}
"""Suffixes of images that Pillow, or an old one, cannot read. They are named, while other files are passed over."""

NO_IMAGES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats in Pillow's list that it cannot decode by itself."""

MAX_FILE_BYTES = 1 << 30

BYTE_MAX = 255
_SIXTEEN_BITS = 257
"""65,535 / 255: what scales 16 bits to 8."""


@dataclass(frozen=True)
class Item:
    """One image file. ``name`` is what it is called in the dataset."""

    path: str
    name: str
    label: int


@dataclass(frozen=True)
class FileImages(LazyImages):
    """Images that other processes can decode too, if their files are in a ``folder``."""

    folder: str = ""
    fit: Fit = "resize"
    background: Colour = (255, 255, 255)


class ImageFiles(Dataset):
    """What datasets of image files have in common: parameters, and splits whose images are decoded when needed."""

    load_uses: ClassVar[frozenset[str]] = frozenset({"image_size", "fit"})

    image_size: int = param(128, "side of the square that images become", ge=1, le=4096)
    fit: Fit = param("resize", "resize (shorter side, then the centre), crop (the centre) or pad (the whole image)")
    mean: tuple[float, ...] = param(
        (0.485, 0.456, 0.406), "subtracted from pixels scaled to 0..1; ImageNet's, per channel"
    )
    std: tuple[float, ...] = param((0.229, 0.224, 0.225), "divides pixels after that; ImageNet's, per channel")
    val_fraction: float = param(0.1, "part of each class for validation, if there are no images for it", gt=0, lt=1)
    test_fraction: float = param(0.1, "part of each class for the test, if there are no images for it", gt=0, lt=1)
    split_seed: int = param(0, "another one splits the classes otherwise", ge=0)
    background: tuple[Byte, Byte, Byte] = param((255, 255, 255), "RGB colour of transparent pixels and of padding")
    on_damaged: Literal["stop", "skip"] = param("stop", "what to do about files that cannot be read")

    @model_validator(mode="after")
    def _check_fractions(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave no images for training")
        return self

    def split(self, items: Sequence[Item], root: Path, read: Callable[[str], bytes]) -> Split:
        """Return a split of these files in ``root``; any thread may call ``read``, which returns the bytes of one."""

        def decode_row(row: int) -> Pixels:
            content = read(items[row].path)
            return decode(content, side=self.image_size, fit=self.fit, background=self.background)

        images = FileImages(
            decode_row,
            (len(items), 3, self.image_size, self.image_size),
            tuple(item.path for item in items),
            skip_damaged=self.on_damaged == "skip",
            hint="--set dataset.on_damaged=skip leaves them out",
            folder=str(root.absolute()) if root.is_dir() else "",
            fit=self.fit,
            background=self.background,
        )
        labels = np.array([item.label for item in items], dtype=np.int64)
        return Split(images, labels, tuple(item.name for item in items))


def taken_from_training(numbers: Mapping[str, int]) -> str:
    """Return a note on splits that nobody gave, with how many training images each of them got; empty for none."""
    taken = [f"{number} images for {part} ({part}_fraction)" for part, number in numbers.items()]
    return f"took {' and '.join(taken)} from the training images" if taken else ""


def suffix_of(name: str) -> str:
    """Return such as ``.jpg``, in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name in an archive is no path of this system


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of all images, also of those that Pillow cannot read."""
    suffixes = Image.registered_extensions()
    readable = (suffix for suffix, name in suffixes.items() if name in Image.OPEN and name not in NO_IMAGES)
    return UNREADABLE.union(readable)


def decode(content: bytes, *, side: int, fit: Fit, background: Colour) -> Pixels:
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
    if image.format in NO_IMAGES:
        raise DataError(f"{image.format} is no format of images")
    return image


def turn(image: Image.Image) -> None:
    """Turn an image upright in place, as its EXIF data say; unreadable EXIF data are ignored."""
    with suppress(SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error):
        ImageOps.exif_transpose(image, in_place=True)


def to_rgb(image: Image.Image, background: Colour) -> Image.Image:
    """Return the image in RGB: 16 bits scaled to 8, and transparent pixels over the background."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        # Arrays of 32-bit numbers that someone saved as TIFF may hold 8 bits; on a scale of 16 they would be black.
        is_byte = image.mode == "I" and image.format == "TIFF" and values.size and values.max() <= BYTE_MAX
        image = Image.fromarray(np.clip(values // (1 if is_byte else _SIXTEEN_BITS), 0, BYTE_MAX).astype(np.uint8))
    elif image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scale = BYTE_MAX if values.size and values.max() <= 1 else 1
        image = Image.fromarray(np.clip(values * scale, 0, BYTE_MAX).astype(np.uint8))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        below = Image.new("RGBA", over.size, (*background, 255))
        image = Image.alpha_composite(below, over)
    return image if image.mode == "RGB" else image.convert("RGB")
