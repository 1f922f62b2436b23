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
    decode,
    find_image_files,
    image_numbers,
)

import benchbench as bb
from benchbench.config.text_files import decode_text
from benchbench.data.archive import Files, find_prefix, open_files

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 8 * 1024 * 1024
"""words.txt names all of WordNet, a few megabytes; an image has a few kilobytes."""

HINT = f"--data tinyimage200=PATH of {OFFICIAL}.zip or its folder; bench data fetch tinyimage200"


class TinyImage200(bb.Dataset, name="tinyimage200"):
    """100,000 photographs of 64x64 with 200 classes: 400 to train, 50 to validate and 50 to test on for each."""

    download: ClassVar[bb.Download | None] = TinyImage10.download
    num_classes: ClassVar[int] = 200

    load_uses: ClassVar[frozenset[str]] = frozenset()

    image_size: int = bb.param(150, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param((0.485, 0.456, 0.406), "mean to subtract from pixels in 0..1: ImageNet's")
    std: tuple[float, ...] = bb.param((0.229, 0.224, 0.225), "standard deviation to divide by: ImageNet's")

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or what is read of its folder."""
        path = find_archive(root)
        if path.is_file():
            return (path,)
        with open_files(path, max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = _find_prefix(files)
        return tuple(path / prefix / name for name in ("train", "wnids.txt", "words.txt"))

    def load(self, root: Path) -> bb.Splits:
        """Return the images in the order of their WordNet ids, then of their numbers.

        ``root`` is the official archive or its folder, or a folder that one of them lies in.
        """
        with open_files(find_archive(root), max_file_bytes=MAX_FILE_BYTES) as files:
            prefix = _find_prefix(files)
            class_names = read_classes(files, prefix, num_classes=self.num_classes)
            train, val, test = (read_split(files, prefix, tuple(class_names), split=split) for split in SPLITS)
        return bb.Splits(train=train, val=val, test=test, class_names=tuple(class_names.values()))


def find_archive(root: Path) -> Path:
    """Return the official archive, or a folder that its files lie in; ``root`` may be the folder of the archive."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise bb.DataError(f"no tinyimage200 images at {root}: it does not exist", hint=HINT)
    with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
        if find_prefix(files, lambda prefix: _has_wnids(files, prefix)) is not None:
            return root
    archive = root / f"{OFFICIAL}.zip"
    if archive.is_file():
        return archive
    raise bb.DataError(f"no tinyimage200 images at {root}: it has neither wnids.txt nor {OFFICIAL}.zip", hint=HINT)


def _find_prefix(files: Files) -> str:
    prefix = find_prefix(files, lambda prefix: _has_wnids(files, prefix))
    if prefix is None:
        raise bb.DataError(f"no tinyimage200 images in {files.path}: wnids.txt is missing", hint=HINT)
    return prefix


def _has_wnids(files: Files, prefix: str) -> bool:
    return "wnids.txt" in files.files_in(prefix.rstrip("/"))


def read_classes(files: Files, prefix: str, *, num_classes: int) -> dict[str, str]:
    """Return the name of each class by its WordNet id, in sorted order.

    A class is called by its first name in words.txt, with the id if two classes share a name.
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
    return decode_text(files.read(name), name=f"{files.path}: {name}")


def read_split(files: Files, prefix: str, wnids: tuple[str, ...], *, split: str) -> bb.Split:
    """Return one split, decoded into one array, since the training part takes 1 GB."""
    stems = {wnid: [f"{wnid}_{number}" for number in image_numbers(split, wnid)] for wnid in wnids}
    names = tuple(f"{stem}.JPEG" for of_class in stems.values() for stem in of_class)
    pixels = np.empty((len(names), 3, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    row = 0
    for wnid, of_class in stems.items():
        folder = f"{prefix}train/{wnid}"
        if "images" in files.files_in(folder):
            folder += "/images"
        for path in find_image_files(files, folder, of_class, hint=HINT):
            image = decode(files.read(path), file=f"{files.path}: {path}", hint=HINT)
            pixels[row] = image.transpose(2, 0, 1)
            row += 1
    labels = torch.arange(len(wnids)).repeat_interleave(len(names) // len(wnids))
    return bb.Split(images=torch.from_numpy(pixels), labels=labels, names=names)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer all classes."""
    return [TinyImage200]
