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
from benchbench.data.archive import Files, open_files

if TYPE_CHECKING:
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

No rule is known behind it: the published archive is cut this way, and the paper's results are of that cut.
"""

SPLITS = ("train", "val", "test")
IMAGE_SIDE = 64
MAX_FILE_BYTES = 256 * 1024
"""The largest of the 5,000 files has 2,923 bytes; 64x64 pixels cannot honestly need much more."""

READY_CUT, OFFICIAL = "tinyimage10", "tiny-imagenet-200"
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

    image_size: int = bb.param(
        150, "side of the square that images are padded (with black) or cropped to", ge=1, le=4096
    )
    flip: float = bb.param(0.5, "probability of a left-right flip of a training image", ge=0, le=1)
    mean: tuple[float, ...] = bb.param(
        (0.485, 0.456, 0.406), "subtracted from pixels scaled to 0..1: ImageNet's, by channel"
    )
    std: tuple[float, ...] = bb.param((0.229, 0.224, 0.225), "divides pixels after that: ImageNet's, by channel")

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or the folders of the ten classes and not those of the other 190."""
        place = find_images(root)
        if place.is_file():
            return (place,)
        with open_files(place, max_file_bytes=MAX_FILE_BYTES) as files:
            layout = find_layout(files)
        folders = {layout.folder(split, wnid) for split in SPLITS for wnid in CLASSES}
        return tuple(place / folder for folder in sorted(folders))

    def load(self, root: Path) -> bb.Splits:
        """Return the images in the order of their classes, then of their numbers.

        ``root`` is the ready-cut archive or its folder, the official ones, or a folder with one in it.
        """
        with open_files(find_images(root), max_file_bytes=MAX_FILE_BYTES) as files:
            layout = find_layout(files)
            train, val, test = (read_split(files, layout, split=split) for split in SPLITS)
        return bb.Splits(train=train, val=val, test=test, class_names=tuple(CLASSES.values()))


@dataclass(frozen=True)
class Layout:
    """Where an archive or folder has its images; ``is_cut`` where a folder stands for each split."""

    prefix: str
    is_cut: bool

    def folder(self, split: str, wnid: str) -> str:
        """Return the folder of a class's images."""
        return f"{self.prefix}{split if self.is_cut else 'train'}/{wnid}/images"


def find_images(root: Path) -> Path:
    """Return the archive or folder that is meant by ``root``, which may be the folder that it lies in."""
    if root.is_file():
        return root
    inside = (READY_CUT, f"{READY_CUT}.zip", OFFICIAL, f"{OFFICIAL}.zip")
    for place in (root, *(root / name for name in inside)):
        if place.is_file() or (place / "train").is_dir():
            return place
    found = f"has neither a train folder nor any of {', '.join(inside)}" if root.is_dir() else "does not exist"
    raise bb.DataError(f"no tinyimage10 images at {root}: it {found}", hint=HINT)


def find_layout(files: Files) -> Layout:
    """Return how the images are laid out, or raise :class:`~benchbench.errors.DataError`."""
    for prefix in ("", f"{READY_CUT}/", f"{OFFICIAL}/"):
        for is_cut, splits in ((True, ("val", "test")), (False, ("train",))):
            layout = Layout(prefix, is_cut)
            if any(files.files_in(layout.folder(split, wnid)) for split in splits for wnid in CLASSES):
                return layout
    raise bb.DataError(
        f"no tinyimage10 images in {files.path}: it has no folder such as "
        f"train/{next(iter(CLASSES))}/images, neither at its top nor in {READY_CUT} or {OFFICIAL}",
        hint=HINT,
    )


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
        wanted = [f"{wnid}_{number}.JPEG" for number in image_numbers(split, wnid)]
        folder = layout.folder(split, wnid)
        check_present(files, folder, wanted)
        arrays += [decode(files.read(f"{folder}/{name}"), where=f"{files.path}: {folder}/{name}") for name in wanted]
        labels += [label] * len(wanted)
        names += wanted
    images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return bb.Split(images=images, labels=torch.tensor(labels), names=tuple(names))


def check_present(files: Files, folder: str, wanted: list[str], *, hint: str = HINT) -> None:
    """Raise :class:`~benchbench.errors.DataError` where a class's folder or an image is missing."""
    present = files.files_in(folder)
    missing = [name for name in wanted if name not in present]
    if not present:
        raise bb.DataError(f"{files.path}: the folder {folder} is missing or empty", hint=hint)
    if missing:
        raise bb.DataError(
            f"{files.path}: {len(missing)} of {len(wanted)} images are missing in {folder}, "
            f"the first of them {missing[0]}",
            hint=hint,
        )


def decode(jpeg: bytes, *, where: str, hint: str = HINT) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return an image as uint8 ``[64, 64, 3]``, or raise :class:`~benchbench.errors.DataError` naming it.

    The JPEG reader is used by itself: ``Image.open`` would try other formats, and warn of large images
    before their size can be looked at. One thread does all: two took 1.4 s where one took 0.9 s.
    """
    try:
        image = JpegImageFile(io.BytesIO(jpeg))
        if image.size == (IMAGE_SIDE, IMAGE_SIDE):
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise bb.DataError(f"{where} is no readable JPEG image: {error}", hint=hint) from None
    width, height = image.size
    raise bb.DataError(f"{where} has {width}x{height} pixels, not {IMAGE_SIDE}x{IMAGE_SIDE}", hint=hint)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the ten classes."""
    return [TinyImage10]
