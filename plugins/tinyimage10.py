"""Ten classes of Tiny ImageNet, as in "Optimizing AlexNet on Tiny ImageNet10" (T. Alqadi and E. Lucas, 2020).

The images come from the training part of Tiny ImageNet (200 classes, Stanford CS231n). The paper's authors
published their cut of it as one archive; the same cut is made here from the official one, image by image.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from PIL.JpegImagePlugin import JpegImageFile

import benchbench as bb
from benchbench.data.archive import Files, find_prefix, open_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLASSES = {
    "n01443537": "goldfish",
    "n01629819": "European fire salamander",
    "n01641577": "bullfrog",
    "n01644900": "tailed frog",
    "n01698640": "American alligator",
    "n01742172": "boa constrictor",
    "n01768244": "trilobite",
    "n01770393": "scorpion",
    "n01774384": "black widow",
    "n01774750": "tarantula",
}
"""The first ten WordNet ids of Tiny ImageNet in sorted order, and the first name of each in words.txt."""

VAL_BEFORE_TEST = frozenset({"n01443537", "n01698640", "n01768244", "n01774384"})
"""Classes whose images 0-49 are for validation and 50-99 for the test; with the other six it is the reverse.

We do not know why: the published archive is split this way, and the paper's results are for that split.
"""

SPLITS = ("train", "val", "test")
IMAGE_SIDE = 64
MAX_FILE_BYTES = 256 * 1024
"""The largest of the 5,000 files has 2,923 bytes; 64x64 pixels cannot honestly need much more."""

READY_CUT, OFFICIAL = "tinyimage10", "tiny-imagenet-200"
ARCHIVES = (f"{READY_CUT}.zip", f"{OFFICIAL}.zip")
HINT = (
    f"--data PATH of {READY_CUT}.zip, of {OFFICIAL}.zip, or of the folder of either; "
    "bench data fetch tinyimage10; or the digits dataset"
)


class TinyImage10(bb.Dataset, name="tinyimage10"):
    """5,000 photographs of 64x64 with 10 classes: 400 to train, 50 to validate and 50 to test on for each."""

    download: ClassVar[bb.Download | None] = bb.Download(
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        file_name=f"{OFFICIAL}.zip",
        num_bytes=248_100_043,
        md5="90528d7ca1a48142e341f4ef8d21d0de",
    )
    sha256: ClassVar[dict[str, str]] = {
        f"{READY_CUT}.zip": "fc0f140c7424413a93bf01cb7454f1179e2a933d0e269c1c39714cdee1edaae4"
    }

    load_uses: ClassVar[frozenset[str]] = frozenset()

    image_size: int = bb.param(150, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param((0.485, 0.456, 0.406), "mean to subtract from pixels in 0..1: ImageNet's")
    std: tuple[float, ...] = bb.param((0.229, 0.224, 0.225), "standard deviation to divide by: ImageNet's")

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or the folders of the ten classes without those of the other 190."""
        path = find_images(root)
        if path.is_file():
            return (path,)
        with open_files(path, max_file_bytes=MAX_FILE_BYTES) as files:
            layout = find_layout(files)
        folders = {layout.folder(split, wnid) for split in SPLITS for wnid in CLASSES}
        return tuple(path / folder for folder in sorted(folders))

    def load(self, root: Path) -> bb.Splits:
        """Return the images in the order of their labels, then of their numbers.

        ``root`` is the ready-cut archive or its folder, the official ones, or a folder that one of them lies in.
        """
        with open_files(find_images(root), max_file_bytes=MAX_FILE_BYTES) as files:
            layout = find_layout(files)
            train, val, test = (read_split(files, layout, split=split) for split in SPLITS)
        return bb.Splits(train=train, val=val, test=test, class_names=tuple(CLASSES.values()))


@dataclass(frozen=True)
class Layout:
    """Where an archive or a folder has its images.

    ``is_cut`` is true if there is a folder for each split. ``inner`` is ``/images``, or empty if the images lie
    directly in the folder of their class.
    """

    prefix: str
    is_cut: bool
    inner: str

    def folder(self, split: str, wnid: str) -> str:
        """Return the folder of a class's images."""
        return f"{self.prefix}{split if self.is_cut else 'train'}/{wnid}{self.inner}"


def find_images(root: Path) -> Path:
    """Return the archive or folder that ``root`` stands for; ``root`` may be the folder that an archive lies in."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise bb.DataError(f"no tinyimage10 images at {root}: it does not exist", hint=HINT)
    with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
        if find_prefix(files, lambda prefix: _layout_at(files, prefix) is not None) is not None:
            return root
    archives = [root / name for name in ARCHIVES if (root / name).is_file()]
    return archives[0] if archives else root


def find_layout(files: Files) -> Layout:
    """Return how the images are laid out, or raise :class:`~benchbench.errors.DataError`."""
    prefix = find_prefix(files, lambda prefix: _layout_at(files, prefix) is not None)
    layout = None if prefix is None else _layout_at(files, prefix)
    if layout is None:
        raise bb.DataError(
            f"no tinyimage10 images in {files.path}: it has no folder such as train/{next(iter(CLASSES))}/images"
            f" and none of {', '.join(ARCHIVES)}",
            hint=HINT,
        )
    return layout


def _layout_at(files: Files, prefix: str) -> Layout | None:
    """Return the layout of the images below a prefix, if there are any.

    In the official archive a widespread script sorts the files of ``val`` into folders of classes. Their names,
    ``val_0.JPEG``, tell them from those of the ready-cut archive.
    """
    for is_cut, split in ((True, "val"), (True, "test"), (False, "train")):
        for inner in ("/images", ""):
            layout = Layout(prefix, is_cut, inner)
            for wnid in CLASSES:
                names = files.files_in(layout.folder(split, wnid))
                if any(image_stem(name).startswith(f"{wnid}_") for name in names):
                    return layout
    return None


def image_numbers(split: str, wnid: str) -> range:
    """Return the numbers of a class's images in Tiny ImageNet that belong to a split."""
    if split == "train":
        return range(100, 500)
    is_first = (split == "val") == (wnid in VAL_BEFORE_TEST)
    return range(50) if is_first else range(50, 100)


def read_split(files: Files, layout: Layout, *, split: str) -> bb.Split:
    """Return one split, decoded."""
    arrays, labels, names = [], [], []
    for label, wnid in enumerate(CLASSES):
        stems = [f"{wnid}_{number}" for number in image_numbers(split, wnid)]
        folder = layout.folder(split, wnid)
        paths = find_image_files(files, folder, stems)
        arrays += [decode(files.read(path), file=f"{files.path}: {path}") for path in paths]
        labels += [label] * len(stems)
        names += [f"{stem}.JPEG" for stem in stems]
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return bb.Split(images=images, labels=torch.tensor(labels), names=tuple(names))


def find_image_files(files: Files, folder: str, stems: Sequence[str], *, hint: str = HINT) -> list[str]:
    """Return the path of each image by the name without its suffix, which may be ``.JPEG``, ``.jpg`` and the like.

    Raises :class:`~benchbench.errors.DataError` if a folder or an image is missing, or there twice.
    """
    names: dict[str, list[str]] = {}
    for name in sorted(files.files_in(folder)):
        names.setdefault(image_stem(name), []).append(name)
    if not names:
        raise bb.DataError(f"{files.path}: the folder {folder} is missing or empty", hint=hint)
    missing = [stem for stem in stems if stem not in names]
    if missing:
        raise bb.DataError(
            f"{files.path}: {len(missing)} of {len(stems)} images are missing in {folder}, "
            f"the first of them {missing[0]}.JPEG",
            hint=hint,
        )
    for stem in stems:
        if len(names[stem]) > 1:
            raise bb.DataError(f"{files.path}: {folder} has one image twice: {' and '.join(names[stem])}", hint=hint)
    return [f"{folder}/{names[stem][0]}" for stem in stems]


def image_stem(name: str) -> str:
    """Return the name of a JPEG file without its suffix, or "" for any other file."""
    stem, _, suffix = name.rpartition(".")
    return stem if suffix.lower() in ("jpeg", "jpg", "jpe") else ""


def decode(jpeg: bytes, *, file: str, hint: str = HINT) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return an image as uint8 ``[64, 64, 3]``, or raise :class:`~benchbench.errors.DataError` naming it.

    The JPEG reader is used by itself: ``Image.open`` would try other formats, and warn of large images
    before their size can be looked at. One thread does all: two took 1.4 s where one took 0.9 s.
    """
    try:
        image = JpegImageFile(io.BytesIO(jpeg))
        if image.size == (IMAGE_SIDE, IMAGE_SIDE):
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise bb.DataError(f"{file} is not a readable JPEG image: {error}", hint=hint) from None
    width, height = image.size
    raise bb.DataError(f"{file} has {width}x{height} pixels, not {IMAGE_SIDE}x{IMAGE_SIDE}", hint=hint)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the ten classes."""
    return [TinyImage10]
