"""Where decoded images go, row by row and in any order: a file, or memory."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class RowStore(Protocol):
    """Where the images of a split go. Threads put rows in any order."""

    def missing(self) -> Sequence[int]:
        """Return the rows that are not there yet."""

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        """Store an image."""

    @property
    def file(self) -> tuple[str, int] | None:
        """The file that the images go into, and how many bytes in it come before them."""

    def mark(self, rows: Iterable[int]) -> None:
        """Mark rows as there that another process has put into the file."""

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """Return the bytes of some rows that are there."""

    def flush(self) -> None:
        """Bring to the disk what is there."""

    def finish(self, *, without: Mapping[int, str]) -> NDArray[np.uint8]:
        """Return all images but those of some rows."""

    def close(self) -> None:
        """Close all files."""


def store_rows(folder: Path | None, split_name: str, shape: tuple[int, ...]) -> RowStore:
    """Return where the images of a split go: files in the folder, or memory without one."""
    return _File(folder, split_name, shape) if folder else _Memory(shape)


class _Memory:
    """Images in memory."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._images = np.zeros(shape, dtype=np.uint8)

    def missing(self) -> Sequence[int]:
        return range(len(self._images))

    def put(self, row: int, image: NDArray[np.uint8]) -> None:
        self._images[row] = image

    @property
    def file(self) -> None:
        return None

    def mark(self, rows: Iterable[int]) -> None:
        pass

    def read(self, start: int, stop: int) -> memoryview:
        return self._images[start:stop].data

    def flush(self) -> None:
        pass

    def finish(self, *, without: Mapping[int, str]) -> NDArray[np.uint8]:
        return np.delete(self._images, list(without), axis=0) if without else self._images

    def close(self) -> None:
        pass


class _File:
    """Images in one file, and which rows are there in another. Written, not mapped, so that a full disk is an error."""

    def __init__(self, folder: Path, split_name: str, shape: tuple[int, ...]) -> None:
        self._path, self._done = folder / f"{split_name}.images.npy", folder / f"{split_name}.done"
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
        write_pixels(self._image_file.fileno(), image.data, self._offset(row))
        self.mark([row])

    @property
    def file(self) -> tuple[str, int]:
        return str(self._path.absolute()), self._header_bytes

    def mark(self, rows: Iterable[int]) -> None:
        for row in rows:
            os.pwrite(self._done_file.fileno(), b"\1", row)

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self._image_file.fileno(), (stop - start) * self._image_bytes, self._offset(start))

    def flush(self) -> None:
        os.fsync(self._image_file.fileno())

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
                write_pixels(self._image_file.fileno(), image, self._offset(new))
        self._image_file.truncate(self._offset(len(rows)))
        self._write_header(len(rows))


def write_pixels(descriptor: int, pixels: bytes | memoryview, offset: int) -> None:
    """Write the whole image or raise an error: a disk that is nearly full may accept only part of it."""
    if os.pwrite(descriptor, pixels, offset) < memoryview(pixels).nbytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
