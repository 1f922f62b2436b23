"""From image files, or arrays of raw pixels, to the squares that a trained network is given.

What it takes is kept with every saved model, so that neither the dataset nor its plugin is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from PIL import Image

from benchbench.data.damaged_images import unreadable
from benchbench.data.fit import BLACK, fit_image, pad_or_crop, planes, resize_images
from benchbench.data.image_decoding import decode, opened, to_rgb, turn
from benchbench.data.image_files import ImageFiles
from benchbench.errors import DataError, error_text
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchbench.data.damaged_images import Problem
    from benchbench.plugin.dataset import Dataset

GRAY, RGB = 1, 3
MAX_PIXEL = 255
_ONE_IMAGE, _SEVERAL = 3, 4


@dataclass(frozen=True)
class Preparation:
    """How an image becomes ``[channels, image_size, image_size]``, and its pixels ``(pixel / 255 - mean) / std``.

    ``stored`` are the channels, height and width of the dataset's images. ``background`` is the color below
    transparent pixels of a dataset of image files, whose images are fitted when they are decoded; None for a dataset
    that keeps its images as they are, where an image of another size is resized to theirs first.
    """

    image_size: int
    fit: Literal["pad", "crop", "resize"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored: tuple[int, int, int]
    background: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, dataset: Dataset, stored: tuple[int, int, int]) -> Self:
        """Return the preparation of a dataset with images of this shape."""
        background = dataset.background if isinstance(dataset, ImageFiles) else None
        return cls(dataset.image_size, dataset.fit, dataset.mean, dataset.std, stored, background)

    def check_channels(self) -> None:
        """Raise :class:`~benchbench.errors.DataError` for a network of images that no file holds."""
        if self.stored[0] not in (GRAY, RGB):
            raise DataError(
                f"the model takes images of {self.stored[0]} channels, and image files have 1 or 3",
                hint="mlflow.pyfunc takes arrays of raw pixels",
            )

    def file(self, content: bytes) -> NDArray[np.uint8]:
        """Return the image in a file as uint8 ``[channels, image_size, image_size]``.

        Raises what Pillow raises for a damaged file.
        """
        if self.background is not None:
            return decode(content, side=self.image_size, fit=self.fit, background=self.background)
        with opened(content) as image:
            image.load()
            turn(image)
            whole = to_rgb(image, BLACK)
        pixels = planes(whole.convert("L") if self.stored[0] == GRAY else whole)
        prepared: NDArray[np.uint8] = self.array(pixels[None])[0]
        return prepared

    def array(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return raw pixels ``[N, channels, H, W]`` as ``[N, channels, image_size, image_size]``."""
        size = images.shape[2:]
        if self.background is not None and size != (self.image_size, self.image_size):
            return np.stack([self._fitted(image) for image in images])
        if self.background is None and size != self.stored[1:]:
            images = _resized(images, self.stored[1], self.stored[2])
        return pad_or_crop(images, self.image_size)

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        whole = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        return planes(fit_image(whole, self.image_size, fit=self.fit, background=self.background or BLACK))


@dataclass(frozen=True)
class Classifier:
    """What a saved model needs besides its network. ``num_threads`` are those that it was evaluated with."""

    preparation: Preparation
    class_names: tuple[str, ...]
    num_threads: int

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_bytes(json_adapter(Classifier).dump_json(self, indent=2))

    @staticmethod
    def read(path: Path) -> Classifier:
        """Return what :meth:`write` wrote."""
        classifier: Classifier = json_adapter(Classifier).validate_json(path.read_bytes())
        return classifier


def as_images(pixels: Any, num_channels: int) -> NDArray[np.uint8]:
    """Return raw pixels as uint8 ``[N, C, H, W]``: one image or several, with the channels first or last.

    If both could be meant, the channels are first, as in a dataset. Raises :class:`~benchbench.errors.DataError` for
    other shapes and for what are no raw pixels.
    """
    try:
        array = np.asarray(pixels)
    except ValueError:
        raise DataError(
            "the images of a batch differ in size", hint="give them one by one, or as files, which are brought to one"
        ) from None
    shape = " x ".join(map(str, array.shape))
    if num_channels == GRAY and array.ndim == 2:  # noqa: PLR2004 - height and width
        array = array[None]
    if num_channels == GRAY and array.ndim == _ONE_IMAGE and 1 not in (array.shape[0], array.shape[-1]):
        array = array[:, None]
    if array.ndim == _ONE_IMAGE:
        array = array[None]
    if array.ndim != _SEVERAL or num_channels not in (array.shape[1], array.shape[3]):
        raise DataError(
            f"an array of {shape} is neither an image of {num_channels} channels nor a batch of them",
            hint="give uint8 [N, C, H, W], [N, H, W, C], [C, H, W] or [H, W, C]",
        )
    if array.shape[1] != num_channels:
        array = array.transpose(0, 3, 1, 2)
    return _bytes(array)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    is_whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool((array == np.rint(array)).all()))
    # Black and white, scaled to 0..1, would be taken for nearly black.
    is_scaled = array.dtype.kind == "f" and bool(array.max(initial=0) == 1)
    if is_scaled or not is_whole or (array.size and not 0 <= array.min() <= array.max() <= MAX_PIXEL):
        raise DataError(
            f"the array of {array.dtype} holds no raw pixels, which are whole numbers from 0 to {MAX_PIXEL}",
            hint="give pixels as an image file holds them: the model scales and normalizes them itself",
        )
    return array.astype(np.uint8)


def _resized(images: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` scaled so that they fill this size, and their center."""
    lazy = resize_images(images, (height, width))
    return np.stack([lazy.read(row) for row in range(len(images))])


def check_are_images(files: Iterable[Path]) -> None:
    """Raise :class:`~benchbench.errors.DataError` for files that do not begin like images; nothing is decoded."""
    problems = []
    for path in files:
        try:
            opened(path.read_bytes())
        except Exception as error:  # noqa: BLE001 - Pillow's readers raise all sorts of errors on damaged files
            problems.append((str(path), error_text(error)))
    if problems:
        raise unreadable(problems)


def read_files(
    preparation: Preparation, contents: Sequence[tuple[str, bytes | Path]]
) -> tuple[list[NDArray[np.uint8]], list[Problem]]:
    """Return the images in these files, and those that cannot be read.

    Raises :class:`~benchbench.errors.DataError` for a network whose images have neither one channel nor three.
    """
    preparation.check_channels()
    images, problems = [], []
    for name, content in contents:
        try:
            images.append(preparation.file(content if isinstance(content, bytes) else content.read_bytes()))
        except Exception as error:  # noqa: BLE001 - Pillow's readers raise all sorts of errors on damaged files
            problems.append((name, error_text(error)))
    return images, problems
