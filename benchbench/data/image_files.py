"""What datasets of image files have in common: their parameters, their suffixes, and splits that are decoded lazily."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from benchbench.data.archive import is_of_system
from benchbench.data.image_decoding import NO_IMAGES, decode
from benchbench.errors import DataError, listed
from benchbench.plugin.base import param
from benchbench.plugin.dataset import Dataset, Fit, LazyImages, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchbench.data.fit import Color
    from benchbench.data.image_decoding import Pixels

Byte = Annotated[int, Field(ge=0, le=255)]

_CAMERAS_OWN = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2"})
UNREADABLE = _CAMERAS_OWN | {".avif", ".dcm", ".heic", ".heif", ".jxl", ".svg"}
"""Suffixes of images that Pillow, or an old one, cannot read. They are named, while other files are passed over."""

NAMES_OF_SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""The splits, and what people call them."""

SPLIT_OF_NAME = {name: split_name for split_name, names in NAMES_OF_SPLITS.items() for name in names}

_OF_MLFLOW = frozenset({"mlruns", "mlartifacts"})
"""Folders of MLflow's, which have figures in them."""

MAX_FILE_BYTES = 1 << 30
MAX_NAMED = 5
"""How many classes a note names."""


@dataclass(frozen=True)
class Item:
    """One image file. ``name`` is what it is called in the dataset, on every system."""

    path: str
    name: str
    label: int


@dataclass(frozen=True)
class FileImages(LazyImages):
    """Images that other processes can decode too, if their files are in a ``folder``."""

    folder: str = ""
    fit: Fit = "resize"
    background: Color = (255, 255, 255)


class ImageFiles(Dataset):
    """What datasets of image files have in common: parameters, and splits whose images are decoded when needed."""

    load_uses: ClassVar[frozenset[str]] = frozenset({"image_size", "fit"})

    image_size: int = param(128, "side of the square that images become", ge=1, le=4096)
    fit: Fit = param("resize", "resize (shorter side, then the center), crop (the center) or pad (the whole image)")
    mean: tuple[float, ...] = param((0.485, 0.456, 0.406), "mean to subtract from pixels in 0..1: ImageNet's")
    std: tuple[float, ...] = param((0.229, 0.224, 0.225), "standard deviation to divide by: ImageNet's")
    val_fraction: float = param(0.1, "fraction of each class to validate on, if there is no val split", gt=0, lt=1)
    test_fraction: float = param(0.1, "fraction of each class to test on, if there is no test split", gt=0, lt=1)
    split_seed: int = param(0, "seed of the split", ge=0)
    background: tuple[Byte, Byte, Byte] = param((255, 255, 255), "RGB color of transparent pixels and of padding")
    on_damaged: Literal["stop", "skip"] = param("stop", "what to do with files that cannot be read")

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


def composed_name(text: str) -> str:
    """Return the name of a class or an image with its accents composed: macOS makes them characters of their own."""
    return unicodedata.normalize("NFC", text)


def taken_from_training(numbers: Mapping[str, int]) -> str:
    """Return a note on splits that nobody gave, with how many training images each of them got; empty for none."""
    taken = [f"{number} images for {split_name} ({split_name}_fraction)" for split_name, number in numbers.items()]
    return f"took {' and '.join(taken)} from the training images" if taken else ""


def too_few_to_split(class_names: Sequence[str]) -> str:
    """Return a note on classes with fewer images than splits that take some; empty for none."""
    return f"too few images to be in every split: {listed(class_names, MAX_NAMED)}" if class_names else ""


def check_every_split_has_images(source: Path, sizes: Mapping[str, int]) -> None:
    """Raise :class:`~benchbench.errors.DataError` if there were too few images to take some for a split."""
    empty = [split_name for split_name, size in sizes.items() if not size]
    if empty:
        raise DataError(
            f"{source}: too few images to have some for {' and '.join(empty)}",
            hint="a class needs three images or more to be in every split",
        )


def is_shown(name: str) -> bool:
    """Tell whether a file or a folder may be someone's images: not hidden, and neither a system's nor MLflow's."""
    return not is_of_system(name) and name not in _OF_MLFLOW


def suffix_of(name: str) -> str:
    """Return such as ``.jpg``, in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name in an archive is no path of this system


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of all images, also of those that Pillow cannot read."""
    suffixes = Image.registered_extensions()
    readable = {*Image.OPEN, "MPO"} - NO_IMAGES  # MPO, of stereo cameras and phones, is opened as JPEG is
    return UNREADABLE.union(suffix for suffix, name in suffixes.items() if name in readable)
