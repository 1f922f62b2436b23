"""Images of your own: a folder for each class, in any format that Pillow reads."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from benchbench_plugins.pixels import Fit, Pixels, decode
from PIL import Image
from pydantic import Field, model_validator

import benchbench as bb
from benchbench.data.archive import Files, find_prefix, open_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Byte = Annotated[int, Field(ge=0, le=255)]

PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""The splits, and what their folders may be called."""

UNREADABLE = frozenset({".heic", ".heif", ".svg", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"})
"""Suffixes of images that Pillow cannot read. They are named, where other files are passed over."""

NO_IMAGES = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats in Pillow's list that it cannot decode by itself."""

MAX_FILE_BYTES = 1 << 30
MAX_DEPTH = 8
"""How deep below the folder of a class its images may lie."""

MAX_NAMED = 20
"""How many damaged files a message names."""

LAYOUT_HINT = "--data imagefolder=PATH of a folder with one folder per class, or with train/, val/ and test/ of those"


@dataclass(frozen=True)
class Item:
    """One image file. ``name`` is its path below the folder of the dataset."""

    path: str
    name: str
    label: int


class ImageFolder(bb.Dataset, name="imagefolder"):
    """Your own images: one folder per class, or ``train/``, ``val/`` and ``test/`` folders of those.

    Without such folders, every class is split by ``val_fraction`` and ``test_fraction``. If only one of ``val/`` and
    ``test/`` is missing, its images are taken from ``train/`` in the same way. Hidden files and files that are no
    images are passed over.
    """

    load_uses: ClassVar[frozenset[str]] = frozenset({"image_size"})

    image_size: int = bb.param(128, "side of the square that images are fitted into", ge=1, le=4096)
    flip: float = bb.param(0.5, "probability of a left-right flip of a training image", ge=0, le=1)
    mean: tuple[float, ...] = bb.param(
        (0.485, 0.456, 0.406), "subtracted from pixels scaled to 0..1; ImageNet's, per channel"
    )
    std: tuple[float, ...] = bb.param((0.229, 0.224, 0.225), "divides pixels after that; ImageNet's, per channel")
    fit: Fit = bb.param("resize", "resize (shorter side, then the centre), crop (the centre) or pad (the whole image)")
    background: tuple[Byte, Byte, Byte] = bb.param((255, 255, 255), "RGB colour of transparent pixels and of padding")
    val_fraction: float = bb.param(0.1, "part of each class for validation, if there is no val folder", gt=0, lt=1)
    test_fraction: float = bb.param(0.1, "part of each class for the test, if there is no test folder", gt=0, lt=1)
    split_seed: int = bb.param(0, "another one splits the classes otherwise", ge=0)
    on_damaged: Literal["stop", "skip"] = bb.param("stop", "what to do about files that cannot be read")

    @model_validator(mode="after")
    def _check_fractions(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction leave no images for training")
        return self

    def load(self, root: Path) -> bb.Splits:
        """Return the images at ``root``, a folder or a zip archive, in the order of their classes and names."""
        if not root.exists():
            raise bb.DataError(f"no images at {root}: it does not exist", hint=LAYOUT_HINT)
        with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
            class_names, items = find_items(files, self)
            images, damaged = self._decode(files, [item.path for part in items.values() for item in part])
        if damaged and self.on_damaged == "stop":
            raise bb.DataError(
                f"{root}: {_name_damaged(damaged)}", hint="--set dataset.on_damaged=skip leaves them out"
            )
        parts, first = {}, 0
        for part, members in items.items():
            rows = [row for row, item in enumerate(members) if item.path not in damaged]
            parts[part] = bb.Split(
                images=torch.from_numpy(images[[first + row for row in rows]]),
                labels=torch.tensor([members[row].label for row in rows], dtype=torch.int64),
                names=tuple(members[row].name for row in rows),
            )
            first += len(members)
        return bb.Splits(class_names=class_names, **parts)

    def _decode(self, files: Files, paths: Sequence[str]) -> tuple[Pixels, dict[str, str]]:
        """Return all images as ``[N, 3, H, W]``, and the reasons why some could not be read, by their paths."""
        pixels = np.zeros((len(paths), 3, self.image_size, self.image_size), dtype=np.uint8)

        def read(row: int) -> str:
            try:
                image = decode(files.read(paths[row]), side=self.image_size, fit=self.fit, background=self.background)
            except bb.DataError as error:
                return error.message
            except Exception as error:  # noqa: BLE001 - Pillow's readers raise all sorts of errors on damaged files
                return f"{type(error).__name__}: {error}"
            pixels[row] = image.transpose(2, 0, 1)
            return ""

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            problems = dict(zip(paths, pool.map(read, range(len(paths))), strict=True))
        return pixels, {path: problem for path, problem in problems.items() if problem}


def find_items(files: Files, dataset: ImageFolder) -> tuple[tuple[str, ...], dict[str, list[Item]]]:
    """Return the names of the classes, and the image files of train, val and test."""
    # A single folder with images below it is the folder of an archive, rather than a class.
    prefix = find_prefix(files, lambda prefix: len(_class_folders(files, prefix)) > 1)
    if prefix is None:
        one = ", ".join(_class_folders(files, ""))
        problem = f"has one class only: {one}" if one else "has no folders with images in them"
        raise bb.DataError(f"{files.path} {problem}", hint=LAYOUT_HINT)
    parts = _part_folders(files, prefix) or {"train": prefix}
    folders = {part: _class_folders(files, folder) for part, folder in parts.items()}
    class_names = _class_names(files, folders)
    items = {
        part: {
            name: [
                Item(path, path.removeprefix(prefix), class_names.index(name)) for path in _image_files(files, folder)
            ]
            for name, folder in sorted(of_part.items())
        }
        for part, of_part in folders.items()
    }
    for part, fraction in (("test", dataset.test_fraction), ("val", dataset.val_fraction)):
        if part not in items:
            items[part] = {}
            for name, of_class in items["train"].items():
                # Both fractions are of the whole class, so that the order in which they are taken does not matter.
                whole = len(of_class) + len(items.get("test", {}).get(name, ()) if "test" not in folders else ())
                items[part][name] = _take(of_class, round(whole * fraction), seed=dataset.split_seed)
    _check_sizes(files, items)
    return class_names, {
        part: [item for of_class in items[part].values() for item in of_class] for part in ("train", "val", "test")
    }


def _part_folders(files: Files, prefix: str) -> dict[str, str]:
    """Return the folders of the splits, if there is one for training that has classes in it."""
    present = {name.lower(): name for name in files.folders_in(prefix.rstrip("/"))}
    folders = {part: f"{prefix}{present[name]}/" for part, names in PARTS.items() for name in names if name in present}
    return folders if "train" in folders and _class_folders(files, folders["train"]) else {}


def _class_folders(files: Files, prefix: str) -> dict[str, str]:
    """Return the folders that have images in them, by the names of their classes."""
    folders: dict[str, str] = {}
    for name in sorted(files.folders_in(prefix.rstrip("/"))):
        path = f"{prefix}{name}"
        if _is_shown(name) and any(_image_files(files, path)):
            # macOS writes an accent as a character of its own; everyone else means the same class.
            class_name = unicodedata.normalize("NFC", name)
            if class_name in folders:
                raise bb.DataError(f"{files.path}: two folders are called {class_name!r}", hint="rename one of them")
            folders[class_name] = path
    return folders


def _class_names(files: Files, folders: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the classes, which are those of the training part; the other parts may have no others."""
    known = folders["train"]
    if len(known) == 1:
        raise bb.DataError(f"{files.path}: train has one class only: {next(iter(known))}", hint=LAYOUT_HINT)
    for part, of_part in folders.items():
        unknown = sorted(set(of_part) - set(known))
        if unknown:
            raise bb.DataError(f"{files.path}: {part} has classes that train has not: {', '.join(unknown)}")
        if not of_part:
            raise bb.DataError(f"{files.path}: {part} has no folders of classes", hint=LAYOUT_HINT)
    return tuple(sorted(known))


def _image_files(files: Files, folder: str, *, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Yield the paths of the images in a folder and below it, in the order of their names."""
    subfolders = files.folders_in(folder)
    for name in sorted(files.files_in(folder)):
        if not _is_shown(name):
            continue
        if name not in subfolders:
            if _suffix(name) in _readable_suffixes() | UNREADABLE:
                yield f"{folder}/{name}"
        elif depth:
            yield from _image_files(files, f"{folder}/{name}", depth=depth - 1)


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name in an archive is no path of this system


@cache
def _readable_suffixes() -> frozenset[str]:
    suffixes = Image.registered_extensions()
    return frozenset(suffix for suffix, name in suffixes.items() if name in Image.OPEN and name not in NO_IMAGES)


def _take(items: list[Item], number: int, *, seed: int) -> list[Item]:
    """Remove so many items from a list and return them, at least one.

    A digest of its name decides whether an image is taken, so that one that is added later moves few others.
    """
    by_digest = sorted(items, key=lambda item: hashlib.sha256(f"{seed}:{item.name}".encode(errors="replace")).digest())
    taken = set(by_digest[: max(1, number)])
    kept, picked = ([item for item in items if (item in taken) is is_taken] for is_taken in (False, True))
    items[:] = kept
    return picked


def _check_sizes(files: Files, items: Mapping[str, Mapping[str, Sequence[Item]]]) -> None:
    few = [name for name, of_class in items["train"].items() if not of_class]
    if few:
        raise bb.DataError(
            f"{files.path}: too few images to train, validate and test on: {', '.join(few)}",
            hint="a class needs three images or more",
        )


def _name_damaged(damaged: Mapping[str, str]) -> str:
    named = [f"{path} ({reason})" for path, reason in list(damaged.items())[:MAX_NAMED]]
    more = f", and {len(damaged) - MAX_NAMED} more" if len(damaged) > MAX_NAMED else ""
    return f"{len(damaged)} images cannot be read: {', '.join(named)}{more}"


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer folders of images."""
    return [ImageFolder]
