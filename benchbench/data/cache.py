"""Keeps decoded datasets on disk and maps them into memory: loading 5,000 images again takes milliseconds.

::

    <cache folder>/decoded/<dataset>/<key>/
        train.images.npy  train.labels.npy   and so for val and test
        entry.json                           digests, names of labels and images

The key is made of everything that the decoded images depend on. An entry never changes; a damaged one is replaced.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import mmap
import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from urllib.parse import quote
from uuid import uuid4

import numpy as np
import PIL
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from benchbench.data import archive, fit, image_decoding, image_files, splitting
from benchbench.data.damaged_images import LIST_NAME
from benchbench.data.file_states import files_below, state_of
from benchbench.data.fit import fit_splits
from benchbench.data.parallel_decoding import decode_lazy
from benchbench.data.shared_images import shared_images
from benchbench.data.split_arrays import SPLIT_NAMES, SplitArrays
from benchbench.data.split_checks import check_classes_left, check_splits
from benchbench.data.split_digests import data_facts_of
from benchbench.errors import DataError
from benchbench.paths import cache_folder
from benchbench.plugin.dataset import Dataset, Splits
from benchbench.plugin.failures import check_returned, failures_named
from benchbench.records.events import DataFacts  # noqa: TC001 - pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchbench.data.parallel_decoding import Progress

FORMAT = 2
KEPT_ENTRIES = 4
KEPT_SECONDS = 24 * 3600
"""Of each dataset, the newest entries are kept, and all used recently: a grid may alternate between more of them."""

DECODED_BY = (archive, fit, image_decoding, image_files, splitting)
"""The modules of ours that decoded images depend on: if one of them changes, images are decoded again."""

MAX_WRITABLE_BYTES = 1 << 30
"""Larger files are mapped read-only; the arrays of smaller ones can be written to, which copies their pages."""

LOCK_SECONDS = 600
"""How long another process may make no progress with the same images before this one decodes them itself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset in memory, and the facts that identify it.

    ``warning`` says why it could not be cached, if so. ``mappings`` are the mapped files of its images.
    """

    splits: dict[str, SplitArrays]
    facts: DataFacts
    warning: str = ""
    mappings: tuple[mmap.mmap, ...] = ()

    def forget_pages(self) -> None:
        """Release the memory of images that were read, so that a trial's memory does not grow with its dataset.

        The system may keep them in its own cache.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapping in self.mappings:
                mapping.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class _Entry:
    """The content of ``entry.json``."""

    facts: DataFacts
    names: dict[str, tuple[str, ...]]


_ENTRY = TypeAdapter(_Entry)


def load(
    dataset: Dataset, root: Path, *, source_digest: str = "", on_progress: Progress | None = None
) -> LoadedDataset:
    """Return the dataset whose images are at ``root``, from the cache if it has them.

    ``source_digest`` stands for the plugin's code; with another one, images are decoded again. ``on_progress`` hears
    how many images are decoded. A cache folder that cannot be used is a warning, not an error. Raises
    :class:`~benchbench.errors.DataError` if images are missing or damaged, or if the plugin returns something that is
    no dataset.
    """
    folder = _entry_folder(dataset, root, source_digest=source_digest)
    loaded = _read(folder)
    if loaded:
        return loaded
    fresh = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            loaded = _read(folder)  # another process may have been faster
            if loaded:
                return loaded
            with _dropped_if_disk_fails(folder):
                fresh = decode(dataset, root, folder=_partial(folder), on_progress=on_progress)
                _write(fresh, folder)
            return _read(folder) or fresh
    # The lock's timeout is an OSError as well; filelock raises the other one if the file system has no locks.
    except (OSError, NotImplementedError) as error:
        warning = f"decoded images are not cached: {error}"
        _log.warning(warning)
    fresh = fresh or decode(dataset, root, on_progress=on_progress)
    return LoadedDataset(fresh.splits, fresh.facts, warning)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an entry. If another process holds it, wait as long as that process decodes more images.

    Raises :class:`OSError` if it makes no progress.
    """
    lock, seen = FileLock(folder.with_suffix(".lock")), _last_change(folder)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            changed = _last_change(folder)
            if changed == seen:
                raise
            seen = changed
    try:
        yield
    finally:
        lock.release()


def _last_change(folder: Path) -> int:
    return max((status.st_mtime_ns for _, status in files_below(_partial(folder))), default=0)


def decode(
    dataset: Dataset, root: Path, *, folder: Path | None = None, on_progress: Progress | None = None
) -> LoadedDataset:
    """Return the dataset from its files, resized if it asks for that, checked and with its digest.

    Images that are decoded lazily become files in ``folder``, or arrays in memory without one.
    """
    with failures_named(dataset, method="load", unless=_may_be_out_of_memory):
        splits = dataset.load(root)
    check_returned(splits, Splits, plugin=dataset, function=dataset.load)
    check_splits(dataset.name, splits)
    damaged_list = dataset_folder(dataset.name) / LIST_NAME
    decoded = decode_lazy(fit_splits(splits, dataset), folder, on_progress, damaged_list=damaged_list)
    check_classes_left(splits, decoded.splits)
    facts = data_facts_of(
        decoded.splits,
        class_names=splits.class_names,
        source=_source(dataset, root),
        skipped=decoded.skipped,
        note="; ".join(filter(None, (splits.note, *map(str, shared_images(decoded.splits))))),
        digests=decoded.digests,
    )
    return LoadedDataset(decoded.splits, facts)


def _may_be_out_of_memory(error: Exception) -> bool:
    """Tell whether torch or the system may have run out of memory: the worker has a better message for that."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error).lower())


def digest_of(dataset: Dataset, root: Path, *, source_digest: str = "") -> str | None:
    """Return the digest of the dataset if it is in the cache, without loading an image."""
    try:
        folder = _entry_folder(dataset, root, source_digest=source_digest)
        return _ENTRY.validate_json((folder / "entry.json").read_bytes()).facts.digest
    except (DataError, OSError, ValidationError):
        return None


def cached_bytes(name: str) -> int:
    """Return the size on disk of what is cached of the dataset of that name."""
    return sum(status.st_size for _, status in files_below(dataset_folder(name)))


def dataset_folder(name: str) -> Path:
    """Return the folder of everything cached of a dataset."""
    return decoded_folder() / quote(name, safe="")


def decoded_folder() -> Path:
    """Return the folder of everything cached; it can be deleted at any time."""
    return cache_folder() / "decoded"


def _source(dataset: Dataset, root: Path) -> str:
    """Return where the images came from: a file, a folder, or the plugin's module if it needs no files."""
    sources = dataset.sources(root)
    if not sources:
        return type(dataset).__module__
    return str((sources[0] if len(sources) == 1 else root).resolve())


def _entry_folder(dataset: Dataset, root: Path, *, source_digest: str) -> Path:
    sources = dataset.sources(root)
    key = {
        "format": FORMAT,
        "pillow": PIL.__version__,
        "decoded_by": _digest_of_our_code(),
        "dataset": dataset.name,
        "revision": dataset.revision,
        "params": dataset.model_dump(mode="json", exclude=set(Dataset.model_fields) - _used(dataset)),
        "source_digest": source_digest,
        # A link's own name may be that of a class or a split; its state tells only of what it leads to.
        "sources": [(path.name if len(sources) > 1 else "", *state_of(path)) for path in sources],
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return dataset_folder(dataset.name) / digest[:32]


@cache
def _digest_of_our_code() -> str:
    sources = "".join(inspect.getsource(module) for module in DECODED_BY)
    return hashlib.sha256(sources.encode()).hexdigest()


def _used(dataset: Dataset) -> frozenset[str]:
    """Return the fields of the base class that the decoded images depend on."""
    return dataset.load_uses | ({"image_size", "fit"} if dataset.fit == "resize" else frozenset())


def _read(folder: Path) -> LoadedDataset | None:
    """Return an entry with its arrays mapped into memory, or None if there is none or it is damaged."""
    try:
        entry = _ENTRY.validate_json((folder / "entry.json").read_bytes())
        mappings: list[mmap.mmap] = []
        splits = {
            split_name: _read_split(folder, split_name, entry=entry, mappings=mappings) for split_name in SPLIT_NAMES
        }
    except (OSError, EOFError, ValueError, KeyError):  # ValidationError is a ValueError
        return None
    with suppress(OSError):  # the cache may be read-only, which is fine
        os.utime(folder / "entry.json")
    return LoadedDataset(splits, entry.facts, mappings=tuple(mappings))


def _read_split(folder: Path, split_name: str, *, entry: _Entry, mappings: list[mmap.mmap]) -> SplitArrays:
    """Return a split mapped into memory, and add the mapping of its images to ``mappings``."""
    images = _map(folder / f"{split_name}.images.npy")
    labels = _map(folder / f"{split_name}.labels.npy")
    num_images = entry.facts.splits[split_name].num_images
    if images.shape != (num_images, *entry.facts.image_shape) or labels.shape != (num_images,):
        raise ValueError(f"{folder} is damaged")
    if isinstance(images.base, mmap.mmap):
        mappings.append(images.base)
    return SplitArrays(images, labels, names=entry.names[split_name])


def _map(path: Path) -> np.ndarray[Any, Any]:
    # Copy on write: whoever writes to an array must not change the file. What could be written to counts as memory
    # against the limits of a process and of the system, so that large files can only be read.
    mode: Literal["c", "r"] = "c" if path.stat().st_size <= MAX_WRITABLE_BYTES else "r"
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    return array


@contextmanager
def _dropped_if_disk_fails(folder: Path) -> Iterator[None]:
    """Delete the partial folder of an entry if it cannot be written; anything else may resume it."""
    try:
        yield
    except OSError:
        shutil.rmtree(_partial(folder), ignore_errors=True)
        raise


def _partial(folder: Path) -> Path:
    """Return the folder of an entry that is not whole yet."""
    return folder.with_suffix(".partial")


def _write(loaded: LoadedDataset, folder: Path) -> None:
    """Put an entry in its place, whole or not at all. The lock must be held.

    Images that were decoded lazily are in its partial folder already.
    """
    partial = _partial(folder)
    for split_name, split in loaded.splits.items():
        for kind, array in (("images", split.images), ("labels", split.labels)):
            if not isinstance(array, np.memmap):
                _save(array, partial / f"{split_name}.{kind}.npy")
    names = {split_name: split.names for split_name, split in loaded.splits.items()}
    with (partial / "entry.json").open("wb") as file:
        file.write(_ENTRY.dump_json(_Entry(loaded.facts, names)))
        _flush(file)
    shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been read
    partial.rename(folder)
    _drop_old_entries(folder.parent)


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Give a new folder beside the entries of a dataset, which is deleted in the end.

    If this process is killed, whoever writes an entry later deletes it. Raises :class:`OSError` or
    :class:`NotImplementedError` if the cache folder cannot be used.
    """
    partial = _partial(dataset_folder(name) / f"scratch-{uuid4().hex}")
    lock = partial.with_suffix(".lock")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        try:
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            lock.unlink(missing_ok=True)
    with suppress(OSError):  # it has entries
        partial.parent.rmdir()


def _save(array: np.ndarray[Any, Any], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        _flush(file)


def _flush(file: BinaryIO) -> None:
    """Flush a file to disk: otherwise its new name may survive a power cut that its contents do not."""
    file.flush()
    os.fsync(file.fileno())


def _drop_old_entries(folder: Path) -> None:
    """Delete the least recently used entries. A process that has one mapped keeps it; others decode it again."""
    with suppress(OSError):  # another process may drop the same ones
        entries = sorted(folder.glob("*/entry.json"), key=lambda path: path.stat().st_mtime_ns)
        for entry in entries[:-KEPT_ENTRIES]:
            if time.time() - entry.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(entry.parent, ignore_errors=True)
        for partial in folder.glob("*.partial"):
            with suppress(Timeout), FileLock(partial.with_suffix(".lock"), timeout=0):
                shutil.rmtree(partial, ignore_errors=True)  # interrupted, and something was loaded since
