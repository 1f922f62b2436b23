"""Decodes images in parallel, row by row into files, so that memory never holds more than a few of them.

::

    <folder>/train.images.npy  the images, an array of which some rows may not be there yet
    <folder>/train.done        a byte for each row: 1 if it is there
    <folder>/boot              since when the system runs; after a crash of it, no row is trusted

A call that was interrupted leaves the folder, and the next call decodes the rows that are missing.
"""

from __future__ import annotations

import io
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psutil

from benchbench.data.checks import SplitArrays
from benchbench.errors import DataError
from benchbench.plugin.dataset import LazyImages
from benchbench.records.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchbench.plugin.dataset import Split

    Progress = Callable[[int, int], None]
    """Is called with the number of images that are decoded and the number of all images."""

MAX_NAMED = 20
"""How many damaged files a message names."""

ROWS_PER_JOB = 32
SECONDS_BETWEEN_REPORTS = 0.25


@dataclass(frozen=True)
class Decoded:
    """The splits as arrays, and the files that were damaged and left out."""

    splits: dict[str, SplitArrays]
    skipped: tuple[str, ...] = ()


def decode_lazy(splits: Mapping[str, Split], folder: Path | None, on_progress: Progress | None = None) -> Decoded:
    """Return the splits as arrays; images that are decoded lazily are files in ``folder``, or arrays without one.

    Raises :class:`~benchbench.errors.DataError` that names the damaged files, unless they are to be skipped.
    """
    lazy = {part: split.images for part, split in splits.items() if isinstance(split.images, LazyImages)}
    if folder:
        _prepare(folder, resume=bool(lazy))
    with ExitStack() as stack:
        targets = {
            part: stack.enter_context(closing(_target(folder, part, images.shape))) for part, images in lazy.items()
        }
        damaged = _fill(lazy, targets, on_progress or _ignore)
        _refuse_damaged(lazy, damaged)
        arrays = {
            part: _without(split, targets[part].finish(without=damaged[part]), damaged[part])
            if part in targets
            else SplitArrays(_array(split.images), _array(split.labels), tuple(split.names))
            for part, split in splits.items()
        }
    if folder:
        _forget_progress(folder)
    return Decoded(arrays, tuple(lazy[part].files[row] for part, rows in damaged.items() for row in rows))


def _array(value: Any) -> NDArray[Any]:
    """Return a tensor or an array as a contiguous array."""
    return np.ascontiguousarray(value)


def _ignore(num_decoded: int, num_images: int) -> None: ...


@dataclass(frozen=True)
class _Job:
    """Some images to decode."""

    part: str
    images: LazyImages
    target: _Target
    rows: Sequence[int]

    def run(self) -> dict[int, str]:
        """Decode the images; return what is wrong with those that cannot be decoded, by their rows."""
        problems = {row: self._decode(row) for row in self.rows}
        return {row: problem for row, problem in problems.items() if problem}

    def _decode(self, row: int) -> str:
        try:
            image = self.images.read(row)
        except DataError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - Pillow's readers raise all sorts of errors on damaged files
            return f"{type(error).__name__}: {error}"
        if image.shape != self.images.shape[1:] or image.dtype != np.uint8:
            return f"it is {image.dtype} {list(image.shape)}, not uint8 {list(self.images.shape[1:])}"
        self.target.put(row, np.ascontiguousarray(image))
        return ""


def _jobs(part: str, images: LazyImages, target: _Target) -> list[_Job]:
    rows = target.missing()
    starts = range(0, len(rows), ROWS_PER_JOB)
    return [_Job(part, images, target, rows[start : start + ROWS_PER_JOB]) for start in starts]


def _fill(
    lazy: Mapping[str, LazyImages], targets: Mapping[str, _Target], on_progress: Progress
) -> dict[str, dict[int, str]]:
    """Decode all rows that are missing; return what is wrong with damaged ones, by split and row, in their order."""
    jobs = [job for part, images in lazy.items() for job in _jobs(part, images, targets[part])]
    num_images = sum(map(len, lazy.values()))
    num_done = num_images - sum(len(job.rows) for job in jobs)
    problems: dict[str, dict[int, str]] = {part: {} for part in lazy}
    reported = time.monotonic()
    pool = ThreadPoolExecutor(max(1, round(num_processors())), thread_name_prefix="bench-decode")
    try:
        running = {pool.submit(job.run): job for job in jobs}
        for future in as_completed(running):
            job = running.pop(future)
            problems[job.part] |= future.result()
            num_done += len(job.rows)
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS or num_done == num_images:
                reported = time.monotonic()
                on_progress(num_done, num_images)
    finally:
        pool.shutdown(cancel_futures=True)  # an error in one ends the others, and so does an interruption
    return {part: dict(sorted(rows.items())) for part, rows in problems.items()}


def _refuse_damaged(lazy: Mapping[str, LazyImages], damaged: Mapping[str, Mapping[int, str]]) -> None:
    refused = [
        (f"{lazy[part].files[row]} ({text})", lazy[part].hint)
        for part, rows in damaged.items()
        if not lazy[part].skip_damaged
        for row, text in rows.items()
    ]
    if refused:
        named = ", ".join(text for text, _ in refused[:MAX_NAMED])
        more = f", and {len(refused) - MAX_NAMED} more" if len(refused) > MAX_NAMED else ""
        counted = f"{len(refused)} image{'s' if len(refused) > 1 else ''}"
        raise DataError(f"{counted} cannot be read: {named}{more}", hint=refused[0][1])
    for part, images in lazy.items():
        if len(damaged[part]) == len(images):
            raise DataError(f"none of the {len(images)} images of {part} can be read")


def _without(split: Split, images: NDArray[np.uint8], damaged: Mapping[int, str]) -> SplitArrays:
    rows = [row for row in range(len(split)) if row not in damaged]
    names = tuple(split.names[row] for row in rows) if split.names else ()
    return SplitArrays(images, _array(split.labels)[rows], names)


class _Target(Protocol):
    """Where the images of a split go. Threads put rows in any order."""

    def missing(self) -> Sequence[int]:
        """Return the rows that are not there yet."""

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        """Store an image."""

    def finish(self, *, without: Mapping[int, str]) -> NDArray[np.uint8]:
        """Return all images but those of some rows."""

    def close(self) -> None:
        """Close all files."""


def _target(folder: Path | None, part: str, shape: tuple[int, ...]) -> _Target:
    return _File(folder, part, shape) if folder else _Memory(shape)


class _Memory:
    """Images in memory."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._images = np.zeros(shape, dtype=np.uint8)

    def missing(self) -> Sequence[int]:
        return range(len(self._images))

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        self._images[row] = image

    def finish(self, *, without: Mapping[int, str]) -> NDArray[np.uint8]:
        return np.delete(self._images, list(without), axis=0) if without else self._images

    def close(self) -> None:
        pass


class _File:
    """Images in a file, and what is there in another. Written rather than mapped: a full disk is an error then."""

    def __init__(self, folder: Path, part: str, shape: tuple[int, ...]) -> None:
        self._path, self._done = folder / f"{part}.images.npy", folder / f"{part}.done"
        self._shape = shape
        self._image_bytes = int(np.prod(shape[1:]))
        if not self._done.exists() or self._done.stat().st_size != len(self):
            self._path.write_bytes(b"")
            self._done.write_bytes(bytes(len(self)))
        self._image_file = self._path.open("r+b", buffering=0)
        self._done_file = self._done.open("r+b", buffering=0)
        self._header_bytes = self._write_header(len(self))

    def __len__(self) -> int:
        return self._shape[0]

    def _write_header(self, number: int) -> int:
        """Write the header and return its length, which is the same for any number: numpy leaves room for digits."""
        header = io.BytesIO()
        shape = (number, *self._shape[1:])
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return os.pwrite(self._image_file.fileno(), header.getvalue(), 0)

    def missing(self) -> Sequence[int]:
        done = np.frombuffer(self._done.read_bytes(), dtype=np.uint8)
        return [int(row) for row in np.flatnonzero(done == 0)]

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        os.pwrite(self._image_file.fileno(), image.data, self._offset(row))
        os.pwrite(self._done_file.fileno(), b"\1", row)

    def _offset(self, row: int) -> int:
        return self._header_bytes + row * self._image_bytes

    def finish(self, *, without: Mapping[int, str]) -> NDArray[np.uint8]:
        if without:
            self._close_gaps([row for row in range(len(self)) if row not in without])
        os.fsync(self._image_file.fileno())  # a rename may otherwise outlive a power cut that its contents do not
        images: NDArray[np.uint8] = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return images

    def close(self) -> None:
        self._image_file.close()
        self._done_file.close()

    def _close_gaps(self, rows: Sequence[int]) -> None:
        os.pwrite(self._done_file.fileno(), bytes(len(self)), 0)  # if this is interrupted, all rows are decoded again
        for new, old in enumerate(rows):
            if new != old:
                image = os.pread(self._image_file.fileno(), self._image_bytes, self._offset(old))
                os.pwrite(self._image_file.fileno(), image, self._offset(new))
        self._image_file.truncate(self._offset(len(rows)))
        self._write_header(len(rows))


def _prepare(folder: Path, *, resume: bool) -> None:
    """Make the folder, or keep what an interrupted call has left in it."""
    boot = folder / "boot"
    if not resume or not boot.exists() or boot.read_text(encoding="utf-8") != _boot_id():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        boot.write_text(_boot_id(), encoding="utf-8")


def _forget_progress(folder: Path) -> None:
    for path in (folder / "boot", *folder.glob("*.done")):
        path.unlink()


def _boot_id() -> str:
    """Return what changes whenever the system starts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")
    except OSError:
        return str(round(psutil.boot_time() / 60))
