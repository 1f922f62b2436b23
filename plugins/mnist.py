"""MNIST (Y. LeCun, C. Cortes and C. Burges) and Fashion-MNIST (H. Xiao, K. Rasul and R. Vollgraf, 2017).

Their files and checksums are those that torchvision names. They are read here, since torchvision compares no checksums
of files that it did not download itself.
"""

from __future__ import annotations

import gzip
import re
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import benchbench as bb
from benchbench.data.archive import find_prefix, open_files
from benchbench.data.download import check_file
from benchbench.data.splitting import with_validation

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchbench.data.archive import Files

MAX_FILE_BYTES = 64_000_000
HEADER_BYTES = 4
UNSIGNED_BYTES = 8
"""The code of the type of values in the header of an IDX file."""

SETS = {
    "mnist": "mnist",
    "fashion": "fashion_mnist",
    "fashionmnist": "fashion_mnist",
    "kmnist": "kmnist",
    "qmnist": "qmnist",
    "emnist": "emnist",
    "notmnist": "notmnist",
}
"""Sets whose files have the same names, by the letters in the names of folders that they are in."""

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def downloads(folder: str, url: str, files: tuple[tuple[int, str], ...]) -> bb.Downloads:
    """Return the four files; ``files`` has the size and the MD5 of each."""
    return bb.Downloads(
        folder,
        tuple(
            bb.Download(f"{url}{name}.gz", f"{name}.gz", num_bytes, md5)
            for name, (num_bytes, md5) in zip(NAMES, files, strict=True)
        ),
    )


class Mnist(bb.Dataset, name="mnist"):
    """70,000 handwritten digits of 28x28, gray: 54,001 to train, 5,999 to validate and 10,000 to test on.

    Validation gets ``val_fraction`` of the training images of each class.
    """

    download: ClassVar[bb.Download | bb.Downloads | None] = downloads(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            (9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            (28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            (1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            (4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    )
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    load_uses: ClassVar[frozenset[str]] = frozenset()
    augmentation: ClassVar[str] = "none"  # a flipped digit is no digit

    image_size: int = bb.param(28, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param((0.1307,), "mean to subtract from pixels in 0..1: that of the training images")
    std: tuple[float, ...] = bb.param((0.3081,), "standard deviation to divide by: that of the training images")
    val_fraction: float = bb.param(0.1, "fraction of the training images of each class for validation", gt=0, lt=1)
    split_seed: int = bb.param(0, "seed of the choice of validation images", ge=0)

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or the four files: others beside them may change."""
        if not root.is_dir():
            return (root,)
        with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = find_prefix(files, lambda prefix: self._is_at(files, prefix))
            names = () if prefix is None else filter(None, (_file_in(files, prefix, name) for name in NAMES))
            return tuple(root / f"{prefix}{name}" for name in names) or (root,)

    def load(self, root: Path) -> bb.Splits:
        """Return the images in their order in the files.

        ``root`` is a folder or a zip archive with the four files, as they come or unpacked, or torchvision's folder.
        """
        hint = f"--data {self.name}=PATH of a folder with the four files; bench data fetch {self.name}"
        if not root.exists():
            raise bb.DataError(f"no {self.name} images at {root}: it does not exist", hint=hint)
        with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = find_prefix(files, lambda prefix: self._is_at(files, prefix))
            if prefix is None:
                raise bb.DataError(f"no {self.name} images in {root}: {NAMES[0]}.gz is missing", hint=hint)
            self._check(root, prefix)
            images, labels, test_images, test_labels = (_read(files, prefix, name) for name in NAMES)
        for split_name, pixels, split_labels in (("train", images, labels), ("test", test_images, test_labels)):
            if pixels.ndim != 3 or split_labels.ndim != 1 or len(pixels) != len(split_labels):  # noqa: PLR2004 - [N, H, W]
                raise bb.DataError(f"{root}: the {split_name} files do not belong together", hint=hint)
        numbers = labels.astype(np.int64)
        train, val = with_validation(images[:, None], numbers, self.val_fraction, seed=self.split_seed)
        test = bb.Split(test_images[:, None], test_labels.astype(np.int64))
        return bb.Splits(train, val, test, self.class_names)

    def _is_at(self, files: Files, prefix: str) -> bool:
        """Tell whether the files are in a folder, which is not the one of another set."""
        letters = (re.sub("[^a-z]", "", folder.lower()) for folder in reversed(prefix.split("/")))
        words = sorted(SETS, key=len, reverse=True)  # "kmnist" before the "mnist" in it
        named = next((SETS[word] for folder in letters for word in words if word in folder), self.name)
        return _file_in(files, prefix, NAMES[0]) is not None and named == self.name

    def _check(self, root: Path, prefix: str) -> None:
        """Compare the checksums of the files that are here as they come; none are known of unpacked ones."""
        for file in self.download.files if isinstance(self.download, bb.Downloads) else ():
            path = root / prefix / file.file_name
            if path.is_file():
                check_file(path, file)


class FashionMnist(Mnist, name="fashion_mnist"):
    """70,000 articles of clothing of 28x28, gray: 54,000 to train, 6,000 to validate and 10,000 to test on.

    Validation gets ``val_fraction`` of the training images of each class.
    """

    download: ClassVar[bb.Download | bb.Downloads | None] = downloads(
        "fashion_mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            (26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            (29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            (4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            (5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    )
    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )

    augmentation: ClassVar[str] = "flip"

    mean: tuple[float, ...] = bb.param((0.2860,), "mean to subtract from pixels in 0..1: that of the training images")
    std: tuple[float, ...] = bb.param((0.3530,), "standard deviation to divide by: that of the training images")


def _file_in(files: Files, prefix: str, name: str) -> str | None:
    folder = prefix.rstrip("/")
    present = files.files_in(folder) - files.folders_in(folder)
    return next((each for each in (f"{name}.gz", name, name.replace("-idx", ".idx")) if each in present), None)


def _read(files: Files, prefix: str, name: str) -> NDArray[np.uint8]:
    """Return the array in a file of this name, packed or not."""
    file_name = _file_in(files, prefix, name)
    if file_name is None:
        raise bb.DataError(f"{files.path}: {name}.gz is missing")
    content = files.read(prefix + file_name)
    try:
        return _array(_unpacked(content) if file_name.endswith(".gz") else content)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise bb.DataError(f"{files.path}: {file_name} is damaged: {error}", hint="get it again") from None


def _unpacked(content: bytes) -> bytes:
    """Return what was packed, which is refused if it is far larger than any of the files."""
    with gzip.open(BytesIO(content)) as file:
        unpacked = file.read(MAX_FILE_BYTES + 1)
    if len(unpacked) > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_FILE_BYTES:,} bytes")
    return unpacked


def _array(content: bytes) -> NDArray[np.uint8]:
    """Return what an IDX file holds: two zeros, the type of values, the number of dimensions, their sizes, values."""
    if content[:3] != bytes([0, 0, UNSIGNED_BYTES]) or len(content) < HEADER_BYTES:
        raise ValueError("it is no IDX file of bytes")
    num_dimensions = content[3]
    sizes = np.frombuffer(content, dtype=">i4", count=num_dimensions, offset=HEADER_BYTES)
    values = np.frombuffer(content, dtype=np.uint8, offset=HEADER_BYTES * (1 + num_dimensions))
    return values.reshape(sizes.tolist())


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer both."""
    return [Mnist, FashionMnist]
