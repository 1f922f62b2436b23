"""The base class of datasets, and the images that they return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import ValidationInfo, field_validator

from benchbench.plugin.base import Plugin, param

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Fit: TypeAlias = Literal["resize", "crop", "pad"]
"""How stored images become squares of ``image_size``."""

MIN_STD = 1e-6
"""The smallest ``std``: below, pixels may become infinite in 32-bit floats."""

MAX_OF_PIXELS = 10
"""The largest ``mean`` and ``std``. Those of pixels from 0 to 255 are larger, and would make all images alike."""


@dataclass(frozen=True)
class LazyImages:
    """Images that are decoded one by one, in parallel, straight into the cache: memory never holds them all.

    ``read`` returns one image as uint8 ``[C, H, W]`` by its row. Several threads call it at once. Images for which it
    raises an error are damaged: one error lists all of them, by ``files``, and the dataset is refused. If
    ``skip_damaged`` is true, they are left out instead. ``hint`` tells a user what to do about them.
    """

    read: Callable[[int], NDArray[np.uint8]]
    shape: tuple[int, int, int, int]
    """``(N, C, H, W)``."""

    files: tuple[str, ...]
    skip_damaged: bool = False
    hint: str = ""
    dtype: ClassVar[str] = "uint8"

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class Split:
    """One part of a dataset.

    images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: a name for each image, or empty. Both may be torch's
    tensors or numpy's arrays; images that do not fit into memory are :class:`LazyImages`.
    """

    images: Tensor | NDArray[np.uint8] | LazyImages
    labels: Tensor | NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset and the names of its classes, in the order of their labels.

    ``note`` is shown when a trial begins, and kept in its record: what a user should know of how images were split.
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    note: str = ""

    def items(self) -> tuple[tuple[str, Split], ...]:
        """Return ``(name, split)`` for train, val and test."""
        return (("train", self.train), ("val", self.val), ("test", self.test))


@dataclass(frozen=True)
class Download:
    """The public file that a dataset is downloaded from."""

    url: str
    file_name: str
    num_bytes: int
    md5: str


@dataclass(frozen=True)
class Downloads:
    """Several public files that a dataset is downloaded from, into a folder of this name."""

    file_name: str
    files: tuple[Download, ...]

    @property
    def num_bytes(self) -> int:
        """The size of all files."""
        return sum(file.num_bytes for file in self.files)


class Dataset(Plugin):
    """Images and labels. ``load`` returns the raw images; the fields below say how batches are made of them.

    Set ``download`` if a public file holds the images, or several do. ``bench data fetch`` then downloads them, and the
    path of the file, or of the folder of all files, is the ``root`` of ``load``. The decoded images are kept on disk
    and mapped into memory the next time, until the files under ``root``, the parameters, the ``revision`` or the
    plugin's source change.

    With ``fit = "resize"``, images of another size are resized after ``load``, before they are kept.
    """

    kind: ClassVar[str] = "dataset"
    download: ClassVar[Download | Downloads | None] = None
    sha256: ClassVar[dict[str, str]] = {}
    """Checksums of other files that hold the same images, by file name; ``bench data verify`` compares them."""

    load_uses: ClassVar[frozenset[str]] = frozenset({"image_size", "fit", "mean", "std"})
    """Which of the fields below ``load`` may read. The images are decoded anew if one of them changes.

    A plugin whose ``load`` reads none of them says so with ``frozenset()``, and its images are kept longer.
    """

    augmentation: ClassVar[str] = "flip"
    """The augmentation of training images if a trial names none; several are joined as ``crop_flip+random_erasing``."""

    image_size: int = param(32, "side of the square that images become", ge=1, le=4096)
    fit: Fit = param(
        "pad", "pad (black around the image), crop (its center) or resize (its shorter side, then the center)"
    )
    mean: tuple[float, ...] = param((0.5,), "mean to subtract from pixels in 0..1; one per channel, or one for all")
    std: tuple[float, ...] = param((0.5,), "standard deviation to divide by; one per channel, or one for all")

    @field_validator("mean", "std")
    @classmethod
    def _check_numbers(cls, numbers: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        """Refuse numbers that make every pixel infinite or NaN, that invert images, or that make them all alike."""
        least = MIN_STD if info.field_name == "std" else -MAX_OF_PIXELS
        if not numbers or not all(least <= number <= MAX_OF_PIXELS for number in numbers):
            is_of_bytes = max(numbers, default=0) > MAX_OF_PIXELS
            hint = ": numbers are of pixels from 0 to 1, so divide by 255" if is_of_bytes else ""
            raise ValueError(f"needs one number or more, each between {least:g} and {MAX_OF_PIXELS}{hint}")
        return numbers

    def load(self, root: Path) -> Splits:
        """Return the images at ``root``, a file or folder. It need not exist if the dataset needs no files.

        Raises :class:`~benchbench.errors.DataError` if images are missing or damaged.
        """
        raise NotImplementedError

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the files and folders that ``load`` reads. The decoded images are kept until one of them changes.

        A folder counts with everything below it. Override this if ``load`` reads only a part of ``root``, or nothing.
        """
        return (root,)
