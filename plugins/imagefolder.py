"""Images of your own: a folder for each class, in any format that Pillow reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import benchbench as bb
from benchbench.data.archive import TAR_SUFFIXES, Files, find_prefix, open_files, reader
from benchbench.data.image_files import (
    MAX_FILE_BYTES,
    MAX_NAMED,
    NAMES_OF_SPLITS,
    SPLIT_OF_NAME,
    ImageFiles,
    Item,
    check_every_split_has_images,
    composed_name,
    image_suffixes,
    is_shown,
    suffix_of,
    taken_from_training,
    too_few_to_split,
)
from benchbench.data.splitting import take
from benchbench.errors import counted, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SPLIT_OF_WORD = SPLIT_OF_NAME | {"dev": "val"}
"""Words in the name of a folder that suggest a split."""

MAX_DEPTH = 8
"""How deep below the folder of a class its images may lie."""

LAYOUT_HINT = "--data imagefolder=PATH of a folder with one folder per class, or with train/, val/ and test/ of those"


class ImageFolder(ImageFiles, name="imagefolder"):
    """Your own images: one folder per class, or ``train/``, ``val/`` and ``test/``, each with such folders.

    Without ``train/``, every class is split by ``val_fraction`` and ``test_fraction``. If only one of ``val/`` and
    ``test/`` is missing, its images are taken from ``train/`` in the same way. Hidden files and files that are not
    images are ignored.
    """

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the archive, or the folders that may have images in them: other files beside them may change."""
        if not root.is_dir():
            return (root,)
        with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
            names = sorted(files.folders_in(""))
        return tuple(root / name for name in names if is_shown(name)) or (root,)

    def load(self, root: Path) -> bb.Splits:
        """Return the images at ``root``, a folder or a zip archive, in the order of their classes and names."""
        if root.is_file() and root.name.lower().endswith(TAR_SUFFIXES):
            raise bb.DataError(f"{root} is a tar archive, which cannot be read directly", hint="unpack it")
        if not root.exists():
            raise bb.DataError(f"no --data is given, and no images are at {root}: it does not exist", hint=LAYOUT_HINT)
        with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
            class_names, items, note = find_items(files, self)
        read = reader(root, max_file_bytes=MAX_FILE_BYTES)
        splits = {split_name: self.split(of_split, root, read) for split_name, of_split in items.items()}
        return bb.Splits(class_names=class_names, note=note, **splits)


def find_items(files: Files, dataset: ImageFolder) -> tuple[tuple[str, ...], dict[str, list[Item]], str]:
    """Return the names of the classes, the image files of train, val and test, and a note on missing splits."""
    # A single folder with images below it is the folder of an archive, rather than a class.
    prefix = find_prefix(files, lambda prefix: len(_class_folders(files, prefix)) > 1)
    if prefix is None:
        raise bb.DataError(f"{files.path} {_lack_of_classes(files)}", hint=LAYOUT_HINT)
    folders_of_splits = _split_folders(files, prefix)
    folders = {
        split_name: _class_folders(files, folder)
        for split_name, folder in (folders_of_splits or {"train": prefix}).items()
    }
    class_names = _class_names(files, folders)
    _check_no_class_is_a_copy(files, folders["train"])
    _check_no_class_has_splits(files, folders["train"])
    items = {
        split_name: {
            name: [
                Item(path, composed_name(path.removeprefix(prefix)), class_names.index(name))
                for path in _image_files(files, folder)
            ]
            for name, folder in sorted(of_split.items())
        }
        for split_name, of_split in folders.items()
    }
    fractions = {"test": dataset.test_fraction, "val": dataset.val_fraction}
    missing = {split_name: fraction for split_name, fraction in fractions.items() if split_name not in items}
    _take_from_training(items, missing, dataset.split_seed)
    splits = {
        split_name: [item for of_class in items[split_name].values() for item in of_class]
        for split_name in ("train", "val", "test")
    }
    check_every_split_has_images(files.path, {split_name: len(of_split) for split_name, of_split in splits.items()})
    taken = [split_name for split_name in ("val", "test") if split_name not in folders]
    notes = (
        _left_out(_beside_splits(files, prefix) if folders_of_splits else (), "they are no splits"),
        _left_out(
            _beside_classes(files, folders_of_splits.values() or [prefix], prefix), "they are in no class's folder"
        ),
        _left_out(
            _without_images(files, folders_of_splits.get("train", prefix), folders["train"]),
            "they have no images in them",
        ),
        _same_folders_inside(files, folders["train"]),
        taken_from_training({split_name: len(splits[split_name]) for split_name in taken if folders_of_splits}),
        too_few_to_split([name for name in items["train"] if not all(items[split_name][name] for split_name in taken)]),
    )
    return class_names, splits, "; ".join(filter(None, notes))


def _take_from_training(items: dict[str, dict[str, list[Item]]], fractions: Mapping[str, float], seed: int) -> None:
    """Move these fractions of each class to the splits that are missing; each is of the whole class, in any order."""
    whole = {name: len(of_class) for name, of_class in items["train"].items()}
    for split_name, fraction in fractions.items():
        items[split_name] = {}
        for name, of_class in items["train"].items():
            rows = set(take([item.name for item in of_class], round(whole[name] * fraction), seed=seed))
            items[split_name][name] = [item for row, item in enumerate(of_class) if row in rows]
            items["train"][name] = [item for row, item in enumerate(of_class) if row not in rows]


def _split_folders(files: Files, prefix: str) -> dict[str, str]:
    """Return the folders of the splits, if there is one for training that has classes in it."""
    present = sorted(files.folders_in(prefix.rstrip("/")))
    folders = {
        split_name: [name for name in present if name.lower() in names] for split_name, names in NAMES_OF_SPLITS.items()
    }
    if not any(_class_folders(files, f"{prefix}{name}/") for name in folders["train"]):
        _check_no_split_is_a_class(files, prefix)
        return {}
    for split_name, several in folders.items():
        if len(several) > 1:
            raise bb.DataError(
                f"{files.path} has two folders for {split_name}: {', '.join(several)}", hint="rename one"
            )
    _check_nothing_else_is_meant(files, prefix, folders)
    return {split_name: f"{prefix}{name}/" for split_name, names in folders.items() for name in names}


def _check_no_split_is_a_class(files: Files, prefix: str) -> None:
    """Refuse classes such as ``train`` and ``test_set``: a network would learn which split an image is of."""
    folders = _class_folders(files, prefix)
    split_of = {name: split_name for name in folders for split_name in _splits_in(name)}
    siblings: dict[str, set[str]] = {}
    for name, split_name in split_of.items():
        siblings.setdefault(_without_splits(name), set()).add(split_name)
    are_all = len(split_of) == len(folders) and len(set(split_of.values())) > 1
    if are_all or any(len(those) > 1 for those in siblings.values()):
        raise bb.DataError(
            f"{files.path} has folders that look like splits and not like classes: {', '.join(split_of)}",
            hint="call them train, val and test, with one folder per class in each; or list the images in a CSV file"
            " (bench show dataset imagelist)",
        )


def _splits_in(name: str) -> list[str]:
    """Return the splits of which the name of a folder speaks, such as ``seg_train`` or ``test-set``."""
    return [SPLIT_OF_WORD[word] for word in _words(name) if word in SPLIT_OF_WORD]


def _without_splits(name: str) -> str:
    """Return the other words in the name of a folder: ``seg`` for both ``seg_train`` and ``seg_test``."""
    return " ".join(word for word in _words(name) if word not in SPLIT_OF_WORD and word not in {"set", "data"})


def _words(name: str) -> list[str]:
    return re.split(r"[\W_]+", name.lower())


def _check_nothing_else_is_meant(files: Files, prefix: str, folders: Mapping[str, Sequence[str]]) -> None:
    """Refuse folders beside ``train`` that may be splits or classes too: leaving them out would lose their images."""
    (train,) = folders["train"]
    classes = _class_folders(files, f"{prefix}{train}/").keys()
    others = _beside_splits(files, prefix)
    for name, folder in others.items():
        if classes & _class_folders(files, f"{folder}/").keys():
            raise bb.DataError(
                f"{files.path}: {name} has folders of the same classes as {train}, but is not a known split",
                hint=f"rename it to val or test, or move it out of {files.path}",
            )
    if others and not folders["val"] and not folders["test"]:
        raise bb.DataError(
            f"{files.path}: {train} has folders of classes, but the folders beside it have images too: "
            f"{listed(list(others), MAX_NAMED)}",
            hint=f"if {train} is a class like those, rename it; otherwise move them out of {files.path}",
        )


def _beside_splits(files: Files, prefix: str) -> dict[str, str]:
    """Return the folders that have images in them and are called like no split."""
    folders = _class_folders(files, prefix)
    return {name: folder for name, folder in folders.items() if name.lower() not in SPLIT_OF_NAME}


def _beside_classes(files: Files, folders: Iterable[str], prefix: str) -> list[str]:
    """Return the images that lie beside folders of classes."""
    paths = (path for folder in folders for path in _image_files(files, folder.rstrip("/"), depth=0))
    return [path.lstrip("/").removeprefix(prefix) for path in paths]


def _without_images(files: Files, folder: str, classes: Mapping[str, str]) -> list[str]:
    """Return the folders beside those of the classes, which all have images, that have none in them."""
    with_images = set(classes.values())
    names = sorted(name for name in files.folders_in(folder.rstrip("/")) if is_shown(name))
    return [name for name in names if f"{folder}{name}" not in with_images]


def _left_out(names: Collection[str], reason: str) -> str:
    """Return a note on folders or images that are not used; empty for none."""
    return f"left out, since {reason}: {listed(list(names), MAX_NAMED)}" if names else ""


def _class_folders(files: Files, prefix: str) -> dict[str, str]:
    """Return the folders that have images in them, by the names of their classes."""
    folders: dict[str, str] = {}
    for name in sorted(files.folders_in(prefix.rstrip("/"))):
        path = f"{prefix}{name}"
        if is_shown(name) and any(_image_files(files, path)):
            class_name = composed_name(name)
            if class_name in folders:
                raise bb.DataError(f"{files.path}: two folders are called {class_name!r}", hint="rename one of them")
            folders[class_name] = path
    return folders


def _lack_of_classes(files: Files) -> str:
    """Return what there is instead of folders of classes."""
    one = ", ".join(_class_folders(files, ""))
    if one:
        return f"has one class only: {one}"
    number = len(list(_image_files(files, "", depth=0)))
    return (
        f"has {counted(number, 'image')}, but no folders of classes" if number else "has no folders with images in them"
    )


def _check_no_class_is_a_copy(files: Files, folders: Mapping[str, str]) -> None:
    """Refuse a class with folders of the other classes in it, as in an archive that has its images twice."""
    for name, folder in folders.items():
        inside = sorted(_class_folders(files, f"{folder}/").keys() & folders.keys())
        if len(inside) > 1:
            raise bb.DataError(
                f"{files.path}: the folder {name} is no class, since it has folders of the other classes in it: "
                f"{listed(inside, MAX_NAMED)}",
                hint=f"move {name} out of {files.path}",
            )


def _check_no_class_has_splits(files: Files, folders: Mapping[str, str]) -> None:
    """Refuse a class that consists of folders such as ``train`` and ``test``: their images would be mixed."""
    for name, folder in folders.items():
        inside = [inner for inner in _class_folders(files, f"{folder}/") if inner.lower() in SPLIT_OF_NAME]
        has_splits = len({SPLIT_OF_NAME[inner.lower()] for inner in inside}) > 1
        if has_splits and not _has_own_images(files, folder):
            raise bb.DataError(
                f"{files.path}: the folder {name} has folders of splits in it: {', '.join(inside)}",
                hint=f"give {name} as --data, if these have the classes in them; or move the images to train/{name},"
                f" val/{name} and test/{name}; or list them in a CSV file (bench show dataset imagelist)",
            )


def _has_own_images(files: Files, folder: str) -> bool:
    return any(suffix_of(file) in image_suffixes() for file in files.files_in(folder))


def _same_folders_inside(files: Files, folders: Mapping[str, str]) -> str:
    """Return a note on classes that have no images but in folders of the same names, which may be the classes."""
    classes: dict[tuple[str, ...], list[str]] = {}
    for name, folder in folders.items():
        inside = tuple(_class_folders(files, f"{folder}/"))
        if len(inside) > 1 and not _has_own_images(files, folder):
            classes.setdefault(inside, []).append(name)
    notes = [
        f"the classes {listed(names, MAX_NAMED)} have the same folders in them ({listed(inside, MAX_NAMED)}):"
        " if those are the classes, give one of the folders as --data"
        for inside, names in classes.items()
        if len(names) > 1
    ]
    return "; ".join(notes)


def _class_names(files: Files, folders: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the classes, which are those of the training split; the others may have no others."""
    known = folders["train"]
    if len(known) == 1:
        raise bb.DataError(f"{files.path}: train has one class only: {next(iter(known))}", hint=LAYOUT_HINT)
    for split_name, of_split in folders.items():
        unknown = sorted(set(of_split) - set(known))
        if unknown:
            raise bb.DataError(f"{files.path}: {split_name} has classes that train does not have: {', '.join(unknown)}")
        if not of_split:
            raise bb.DataError(f"{files.path}: {split_name} has no folders of classes", hint=LAYOUT_HINT)
    return tuple(sorted(known))


def _image_files(files: Files, folder: str, *, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Yield the paths of the images in a folder and below it, in the order of their names on every system."""
    subfolders = files.folders_in(folder)
    for name in sorted(files.files_in(folder), key=lambda name: (composed_name(name), name)):
        if not is_shown(name):
            continue
        if name not in subfolders:
            if suffix_of(name) in image_suffixes():
                yield f"{folder}/{name}"
        elif depth:
            yield from _image_files(files, f"{folder}/{name}", depth=depth - 1)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer folders of images."""
    return [ImageFolder]
