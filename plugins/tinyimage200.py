"""All 200 classes of Tiny ImageNet (Stanford CS231n), cut the way that ``tinyimage10`` cuts its ten.

Only the training part of the official archive is used: its own test part has no labels, and this way the ten classes
have the same images in the same splits here as there, so that results on them can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from benchbench_plugins.tinyimage10 import (
    IMAGE_SIDE,
    OFFICIAL,
    SPLITS,
    TinyImage10,
    check_present,
    decode,
    image_numbers,
)

import benchbench as bb
from benchbench.data.archive import Files, open_files

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 8 * 1024 * 1024
"""words.txt names all of WordNet, a few megabytes; an image has a few kilobytes."""

HINT = f"--data tinyimage200=PATH of {OFFICIAL}.zip or its folder; bench data fetch tinyimage200"


class TinyImage200(bb.Dataset, name="tinyimage200"):
    """100,000 photographs of 64x64 with 200 classes: 400 to train, 50 to validate and 50 to test on for each."""

    download: ClassVar[bb.Download | None] = TinyImage10.download
    num_classes: ClassVar[int] = 200

    image_size: int = bb.param(
        150, "side of the square that images are padded (with black) or cropped to", ge=1, le=4096
    )
    flip: float = bb.param(0.5, "probability of a left-right flip of a training image", ge=0, le=1)
    mean: tuple[float, ...] = bb.param(
        (0.485, 0.456, 0.406), "subtracted from pixels scaled to 0..1: ImageNet's, by channel"
    )
    std: tuple[float, ...] = bb.param((0.229, 0.224, 0.225), "divides pixels after that: ImageNet's, by channel")

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or what is read of its folder."""
        place = find_archive(root)
        return (place,) if place.is_file() else tuple(place / name for name in ("train", "wnids.txt", "words.txt"))

    def load(self, root: Path) -> bb.Splits:
        """Return the images in the order of their WordNet ids, then of their numbers.

        ``root`` is the official archive or its folder, or a folder with one in it.
        """
        with open_files(find_archive(root), max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = "" if "wnids.txt" in files.files_in("") else f"{OFFICIAL}/"
            class_names = read_classes(files, prefix, num_classes=self.num_classes)
            train, val, test = (read_split(files, prefix, tuple(class_names), split=split) for split in SPLITS)
        return bb.Splits(train=train, val=val, test=test, class_names=tuple(class_names.values()))


def find_archive(root: Path) -> Path:
    """Return the official archive or its folder, which may lie in ``root``."""
    if root.is_file():
        return root
    for place in (root, root / OFFICIAL, root / f"{OFFICIAL}.zip"):
        if place.is_file() or (place / "wnids.txt").is_file():
            return place
    found = f"has neither wnids.txt nor {OFFICIAL} nor {OFFICIAL}.zip" if root.is_dir() else "does not exist"
    raise bb.DataError(f"no tinyimage200 images at {root}: it {found}", hint=HINT)


def read_classes(files: Files, prefix: str, *, num_classes: int) -> dict[str, str]:
    """Return the name of each class by its WordNet id, in sorted order.

    A class is called by its first name in words.txt, with the id where two classes share it.
    """
    wnids = sorted(set(_read_text(files, f"{prefix}wnids.txt").split()))
    if len(wnids) != num_classes:
        raise bb.DataError(f"{files.path}: {prefix}wnids.txt has {len(wnids)} classes, not {num_classes}", hint=HINT)
    lines = (line.partition("\t") for line in _read_text(files, f"{prefix}words.txt").splitlines())
    words = {wnid: names.partition(",")[0].strip() for wnid, _, names in lines}
    names = [words.get(wnid) or wnid for wnid in wnids]
    return {
        wnid: name if names.count(name) == 1 else f"{name} ({wnid})" for wnid, name in zip(wnids, names, strict=True)
    }


def _read_text(files: Files, name: str) -> str:
    return files.read(name).decode("utf-8", errors="replace")


def read_split(files: Files, prefix: str, wnids: tuple[str, ...], *, split: str) -> bb.Split:
    """Return one split, decoded into one array: 1 GB for the training part, which is not to be there twice."""
    wanted = {wnid: [f"{wnid}_{number}.JPEG" for number in image_numbers(split, wnid)] for wnid in wnids}
    names = tuple(name for of_class in wanted.values() for name in of_class)
    pixels = np.empty((len(names), 3, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    row = 0
    for wnid, of_class in wanted.items():
        folder = f"{prefix}train/{wnid}/images"
        check_present(files, folder, of_class, hint=HINT)
        for name in of_class:
            place = f"{folder}/{name}"
            image = decode(files.read(place), where=f"{files.path}: {place}", hint=HINT)
            pixels[row] = image.transpose(2, 0, 1)
            row += 1
    labels = torch.arange(len(wnids)).repeat_interleave(len(names) // len(wnids))
    return bb.Split(images=torch.from_numpy(pixels), labels=labels, names=names)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer all classes."""
    return [TinyImage200]
