"""Images inside a page, so that it needs no other file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.data.kept_images import Samples
from benchbench.report.contact_sheet import as_image, draw_seen
from benchbench.report.kept_files import damage_named, read_predicted_images

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from benchbench.report.kept_files import PredictedImage

MAX_PIXELS = 128
"""The longer side of an image in a page; larger ones are made smaller."""

MAX_IMAGES = 400
"""With thousands of classes only the first ones are shown."""

_LOSSLESS_PIXELS = 32
_QUALITY = 90
_IN_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class ClassImages:
    """Some training images of one class, as addresses that hold the images themselves."""

    class_name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class SeenImages:
    """A sheet of the images of each split, and the names of the classes that are only numbers on them, by caption."""

    addresses: dict[str, str]
    numbered: dict[str, str]


def class_images(path: Path) -> list[ClassImages]:
    """Return the training images in ``samples.npz`` by their classes."""
    with damage_named(path):
        samples = Samples.load(path)
        labels, images = samples.train_labels, samples.train_images
        per_class: dict[int, list[str]] = {}
        for number in range(min(len(labels), MAX_IMAGES)):
            per_class.setdefault(int(labels[number]), []).append(address(images[number]))
        return [ClassImages(str(samples.class_names[label]), tuple(each)) for label, each in per_class.items()]


def predicted_images(path: Path) -> list[tuple[str, PredictedImage]]:
    """Return the test images in ``samples.npz`` with their addresses, in their order there: the correct ones first."""
    return [(address(image.image), image) for image in read_predicted_images(path)]


def seen_images(path: Path, *, augmentation: str) -> SeenImages:
    """Return the images of each split in ``seen.npz``."""
    seen = draw_seen(path, augmentation=augmentation)
    addresses = {_IN_WORDS[split_name]: _address(sheet, is_lossless=False) for split_name, sheet in seen.sheets.items()}
    return SeenImages(addresses, seen.numbered)


def address(image: NDArray[np.uint8]) -> str:
    """Return an image, uint8 ``[C, H, W]``, as a ``data:`` address, in color or its first channel in gray."""
    thumbnail = as_image(image)
    is_small = max(thumbnail.size) <= _LOSSLESS_PIXELS
    thumbnail.thumbnail((MAX_PIXELS, MAX_PIXELS))
    return _address(thumbnail, is_lossless=is_small)


def _address(image: Image.Image, *, is_lossless: bool) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=is_lossless, quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
