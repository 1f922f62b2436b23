"""Decodes images in parallel, row by row into files, so that memory never holds more than a few of them.

::

    <folder>/train.images.npy  the images, an array of which some rows may not be there yet
    <folder>/train.done        a byte for each row: 1 if it is there
    <folder>/boot              since when the system runs; after a crash of it, no row is trusted

A call that was interrupted leaves the folder, and the next call decodes the rows that are missing.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil

from benchbench.data.damaged_images import forget_list, is_transient, unreadable
from benchbench.data.decoded_rows import store_rows
from benchbench.data.decoding_processes import Helpers, Request
from benchbench.data.image_files import FileImages
from benchbench.data.split_arrays import SplitArrays, readable
from benchbench.data.split_digests import SplitDigest
from benchbench.errors import DataError
from benchbench.plugin.dataset import LazyImages
from benchbench.records.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from benchbench.data.decoded_rows import RowStore
    from benchbench.plugin.dataset import Split

    Progress = Callable[[int, int], None]
    """Is called with the number of images that are decoded and the number of all images."""

ROWS_PER_JOB, JOBS_AHEAD = 32, 4
SECONDS_BETWEEN_REPORTS = 0.25


@dataclass(frozen=True)
class Decoded:
    """The splits as arrays, the files that were damaged and left out, and digests of splits that are known already."""

    splits: dict[str, SplitArrays]
    skipped: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)


def decode_lazy(
    splits: Mapping[str, Split],
    folder: Path | None,
    on_progress: Progress | None = None,
    *,
    damaged_list: Path | None = None,
) -> Decoded:
    """Return the splits as arrays; images that are decoded lazily are files in ``folder``, or arrays without one.

    ``damaged_list`` is written if more files cannot be read than a message names, and deleted once all can be read.

    Raises :class:`~benchbench.errors.DataError` that names the damaged files, unless they are to be skipped.
    """
    lazy = {split_name: split.images for split_name, split in splits.items() if isinstance(split.images, LazyImages)}
    if folder:
        _prepare(folder, resume=bool(lazy))
    with ExitStack() as stack:
        targets = {
            split_name: stack.enter_context(closing(store_rows(folder, split_name, images.shape)))
            for split_name, images in lazy.items()
        }
        damaged, digests = _fill(lazy, targets, on_progress or _ignore)
        _refuse_damaged(lazy, damaged, damaged_list)
        arrays = {
            split_name: _without(split, targets[split_name].finish(without=damaged[split_name]), damaged[split_name])
            if split_name in targets
            else SplitArrays(_array(split.images), _array(split.labels), readable(split.names))
            for split_name, split in splits.items()
        }
    if folder:
        _forget_progress(folder)
    skipped = readable(lazy[split_name].files[row] for split_name, rows in damaged.items() for row in rows)
    return Decoded(
        arrays,
        skipped,
        {split_name: digest.with_labels(arrays[split_name].labels) for split_name, digest in digests.items()},
    )


def _array(value: Any) -> NDArray[Any]:
    """Return a tensor or an array as a contiguous array."""
    return np.ascontiguousarray(value)


def _ignore(num_decoded: int, num_images: int) -> None: ...


@dataclass(frozen=True)
class _Job:
    """Some images to decode."""

    split_name: str
    images: LazyImages
    target: RowStore
    rows: Sequence[int]

    def run(self, helpers: Helpers) -> dict[int, str]:
        """Decode the images; return what is wrong with those that cannot be decoded, by their rows."""
        problems = {row: self._decode(row) for row in self._left(helpers)}
        return {row: problem for row, problem in problems.items() if problem}

    def _left(self, helpers: Helpers) -> Sequence[int]:
        """Have another process decode the images if it can; return the rows of those that are left."""
        if not (isinstance(self.images, FileImages) and self.images.folder and self.target.file):
            return self.rows
        images, (target, header_bytes) = self.images, self.target.file
        request = Request(
            folder=images.folder,
            paths=[images.files[row] for row in self.rows],
            rows=self.rows,
            side=images.shape[2],
            fit=images.fit,
            background=images.background,
            target=target,
            header_bytes=header_bytes,
        )
        left = helpers.decode(request)
        self.target.mark(set(self.rows).difference(left))
        return left

    def _decode(self, row: int) -> str:
        try:
            image = self.images.read(row)
        except MemoryError as error:
            raise DataError(f"memory ran out while {self.images.files[row]} was decoded") from error
        except DataError as error:
            if is_transient(error.__cause__):
                raise
            return error.message
        except Exception as error:
            if is_transient(error):
                raise DataError(f"cannot read {self.images.files[row]}: {error}") from error
            return f"{type(error).__name__}: {error}"
        if image.shape != self.images.shape[1:] or image.dtype != np.uint8:
            return f"it is {image.dtype} {list(image.shape)}, not uint8 {list(self.images.shape[1:])}"
        self.target.put(row, np.ascontiguousarray(image))
        return ""


def _jobs(split_name: str, images: LazyImages, target: RowStore) -> list[_Job]:
    rows = target.missing()
    starts = range(0, len(rows), ROWS_PER_JOB)
    return [_Job(split_name, images, target, rows[start : start + ROWS_PER_JOB]) for start in starts]


def _fill(
    lazy: Mapping[str, LazyImages], targets: Mapping[str, RowStore], on_progress: Progress
) -> tuple[dict[str, dict[int, str]], dict[str, SplitDigest]]:
    """Decode all rows that are missing; return what is wrong with damaged ones, by split and row, in their order.

    The digests are of the splits without any: they are computed while others are decoded.
    """
    jobs = [job for split_name, images in lazy.items() for job in _jobs(split_name, images, targets[split_name])]
    digests = {
        split_name: _RunningDigest(split_name, images.shape, targets[split_name], jobs)
        for split_name, images in lazy.items()
    }
    num_images = sum(map(len, lazy.values()))
    num_done = num_images - sum(len(job.rows) for job in jobs)
    problems: dict[str, dict[int, str]] = {split_name: {} for split_name in lazy}
    reported = time.monotonic()
    with _Flushing(targets.values()) as flushing, closing(_carried_out(jobs)) as carried_out:
        for job, damaged in carried_out:
            problems[job.split_name] |= damaged
            digests[job.split_name].follow(job)
            num_done += len(job.rows)
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS or num_done == num_images:
                reported = time.monotonic()
                flushing.flush_if_idle()
                on_progress(num_done, num_images)
    whole = {split_name: digest.finished() for split_name, digest in digests.items() if not problems[split_name]}
    return {split_name: dict(sorted(rows.items())) for split_name, rows in problems.items()}, whole


def _carried_out(jobs: Sequence[_Job]) -> Generator[tuple[_Job, dict[int, str]]]:
    """Yield each job when it has ended, with what is wrong with its images. An error in one ends the others."""
    num_threads = max(1, round(num_processors()))
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="bench-decode")
    helpers = Helpers(sum(len(job.rows) for job in jobs), num_threads)
    try:
        # Only a few at a time, so that the caller can keep up with the jobs that have ended.
        running = {pool.submit(job.run, helpers): job for job in islice(waiting, JOBS_AHEAD * num_threads)}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                running |= {pool.submit(job.run, helpers): job for job in islice(waiting, 1)}
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        helpers.close()


class _RunningDigest:
    """The digest of a split, computed as its rows arrive: it includes a row once all rows before it are there."""

    def __init__(self, split_name: str, shape: tuple[int, ...], target: RowStore, jobs: Sequence[_Job]) -> None:
        self._target = target
        self._num_rows = shape[0]
        self._starts = [job.rows[0] for job in jobs if job.split_name == split_name]
        self._done: set[int] = set()
        self._next_row = 0
        self._digest = SplitDigest(shape)

    def follow(self, job: _Job) -> None:
        """Add what can be added now that a job has ended."""
        self._done.add(job.rows[0])
        while self._starts and self._starts[0] in self._done:
            self._done.remove(self._starts.pop(0))
        self._add(self._starts[0] if self._starts else self._num_rows)

    def finished(self) -> SplitDigest:
        """Return the digest of all rows."""
        self._add(self._num_rows)
        return self._digest

    def _add(self, stop: int) -> None:
        for start in range(self._next_row, stop, ROWS_PER_JOB):
            self._digest.add(self._target.read(start, min(start + ROWS_PER_JOB, stop)))
        self._next_row = max(self._next_row, stop)


class _Flushing:
    """Flushes images to disk while others are decoded, so that little is left to flush at the end."""

    def __init__(self, targets: Iterable[RowStore]) -> None:
        self._targets = tuple(targets)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bench-flush")
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def flush_if_idle(self) -> None:
        """Start the next flush if the last one has ended; raises the error of the last one."""
        if self._running is None or self._running.done():
            self._raise_error()
            self._running = self._pool.submit(self._flush)

    def _flush(self) -> None:
        for target in self._targets:
            target.flush()

    def _raise_error(self) -> None:
        # The system reports a disk error only once: closing the file later would not raise it again.
        if self._running is not None:
            self._running.result()

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._raise_error()


def _refuse_damaged(
    lazy: Mapping[str, LazyImages], damaged: Mapping[str, Mapping[int, str]], damaged_list: Path | None
) -> None:
    if damaged_list and not any(damaged.values()):
        forget_list(damaged_list)
    refused = [
        (lazy[split_name].files[row], text, lazy[split_name].hint)
        for split_name, rows in damaged.items()
        if not lazy[split_name].skip_damaged
        for row, text in rows.items()
    ]
    if refused:
        problems = [(file, text) for file, text, _ in refused]
        raise unreadable(problems, hint=refused[0][2], list_path=damaged_list)
    for split_name, images in lazy.items():
        if len(damaged[split_name]) == len(images):
            raise DataError(f"none of the {len(images)} images of {split_name} can be read")


def _without(split: Split, images: NDArray[np.uint8], damaged: Mapping[int, str]) -> SplitArrays:
    rows = [row for row in range(len(split)) if row not in damaged]
    names = readable(split.names[row] for row in rows) if len(split.names) else ()
    return SplitArrays(images, _array(split.labels)[rows], names)


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
