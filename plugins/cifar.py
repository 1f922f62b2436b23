"""CIFAR-10 and CIFAR-100 (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).

They are read from their binary version. The Python version, which torchvision uses, consists of pickles, and a pickle
can run any code when it is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

import benchbench as bb
from benchbench.data.archive import Files, find_prefix, open_files
from benchbench.data.download import check_file
from benchbench.data.splitting import with_validation

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

URL = "https://www.cs.toronto.edu/~kriz/"
SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32
MAX_FILE_BYTES = 160_000_000
"""Slightly more than the largest file has, the training images of CIFAR-100."""

PICKLED = ("cifar-10-batches-py", "cifar-100-python")


class Cifar10(bb.Dataset, name="cifar10"):
    """60,000 photographs of 32x32 with 10 classes: 45,000 to train, 5,000 to validate and 10,000 to test on.

    Validation gets ``val_fraction`` of the training images of each class.
    """

    download: ClassVar[bb.Download | bb.Downloads | None] = bb.Download(
        url=f"{URL}cifar-10-binary.tar.gz",
        file_name="cifar-10-binary.tar.gz",
        num_bytes=170_052_171,
        md5="c32a1d4ab5d03f1284b67883e8d87530",
    )
    train_files: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    test_files: ClassVar[tuple[str, ...]] = ("test_batch.bin",)
    names_file: ClassVar[str] = "batches.meta.txt"
    num_classes: ClassVar[int] = 10
    label_bytes: ClassVar[int] = 1

    load_uses: ClassVar[frozenset[str]] = frozenset()

    image_size: int = bb.param(32, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param(
        (0.4914, 0.4822, 0.4465), "mean to subtract from pixels in 0..1: that of the training images"
    )
    std: tuple[float, ...] = bb.param(
        (0.2470, 0.2435, 0.2616), "standard deviation to divide by: that of the training images"
    )
    val_fraction: float = bb.param(0.1, "fraction of the training images of each class for validation", gt=0, lt=1)
    split_seed: int = bb.param(0, "seed of the choice of validation images", ge=0)

    def load(self, root: Path) -> bb.Splits:
        """Return the images in their order in the files. ``root`` is the archive, or a folder with it or its files."""
        path = self._archive(root)
        if path.is_file() and isinstance(self.download, bb.Download):
            check_file(path, self.download)
        with open_files(path, max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = self._prefix(files)
            images, labels = self._read(files, prefix, self.train_files)
            test = bb.Split(*self._read(files, prefix, self.test_files))
            class_names = tuple(files.read(prefix + self.names_file).decode().split())
        train, val = with_validation(images, labels, self.val_fraction, seed=self.split_seed)
        return bb.Splits(train, val, test, class_names)

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or the files in a folder: others beside them may change."""
        path = self._archive(root)
        if not path.is_dir():
            return (path,)
        with open_files(path, max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = self._prefix_in(files)
        names = (*self.train_files, *self.test_files, self.names_file)
        return (path,) if prefix is None else tuple(path / f"{prefix}{name}" for name in names)

    def _archive(self, root: Path) -> Path:
        archive = root / (self.download.file_name if self.download else "")
        return archive if archive.is_file() else root

    def _prefix_in(self, files: Files) -> str | None:
        return find_prefix(files, lambda prefix: self.test_files[0] in files.files_in(prefix.rstrip("/")))

    def _prefix(self, files: Files) -> str:
        prefix = self._prefix_in(files)
        if prefix is not None:
            return prefix
        hint = f"--data {self.name}=PATH of cifar's binary version; bench data fetch {self.name}"
        if find_prefix(files, lambda prefix: not files.folders_in(prefix.rstrip("/")).isdisjoint(PICKLED)) is not None:
            raise bb.DataError(f"{files.path} has the Python version, which consists of pickles", hint=hint)
        raise bb.DataError(f"no {self.name} images in {files.path}: {self.test_files[0]} is missing", hint=hint)

    def _read(self, files: Files, prefix: str, names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return images and labels: records of one label, or a coarse and a fine one, and the pixels."""
        record_bytes = self.label_bytes + IMAGE_BYTES
        parts = []
        for name in names:
            content = files.read(prefix + name)
            if not content or len(content) % record_bytes:
                raise bb.DataError(f"{files.path}: {name} has {len(content):,} bytes, which are no whole images")
            parts.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, record_bytes))
        records = np.concatenate(parts)
        labels = records[:, self.label_bytes - 1].astype(np.int64)
        if labels.max() >= self.num_classes:
            raise bb.DataError(f"{files.path}: a label is {labels.max()}, but there are {self.num_classes} classes")
        return records[:, self.label_bytes :].reshape(-1, *SHAPE), labels


class Cifar100(Cifar10, name="cifar100"):
    """60,000 photographs of 32x32 with 100 classes: 45,000 to train, 5,000 to validate and 10,000 to test on.

    Validation gets ``val_fraction`` of the training images of each class. Labels are the fine ones.
    """

    download: ClassVar[bb.Download | bb.Downloads | None] = bb.Download(
        url=f"{URL}cifar-100-binary.tar.gz",
        file_name="cifar-100-binary.tar.gz",
        num_bytes=168_513_733,
        md5="03b5dce01913d631647c71ecec9e9cb8",
    )
    train_files: ClassVar[tuple[str, ...]] = ("train.bin",)
    test_files: ClassVar[tuple[str, ...]] = ("test.bin",)
    names_file: ClassVar[str] = "fine_label_names.txt"
    num_classes: ClassVar[int] = 100
    label_bytes: ClassVar[int] = 2

    mean: tuple[float, ...] = bb.param(
        (0.5071, 0.4865, 0.4409), "mean to subtract from pixels in 0..1: that of the training images"
    )
    std: tuple[float, ...] = bb.param(
        (0.2673, 0.2564, 0.2762), "standard deviation to divide by: that of the training images"
    )


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer both."""
    return [Cifar10, Cifar100]
