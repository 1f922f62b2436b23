"""Reading the files of a dataset from a zip archive or a folder, without unpacking or trusting either.

A zip is never extracted: its members are read into memory one at a time, so a hostile name cannot reach the
disk. Archives with such names are refused all the same, since whatever made them is not the dataset.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from benchbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What zipfile raises on bytes that are no whole archive, or that use what it cannot read."""


class Files(Protocol):
    """Named files below one place. Names are relative, with ``/`` between their parts."""

    path: Path

    def files_in(self, folder: str) -> frozenset[str]:
        """Return the names of the files directly in ``folder``, without it; none where it does not exist."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes, or raise :class:`~benchbench.errors.DataError` naming it."""


@contextmanager
def open_files(path: Path, *, max_file_bytes: int) -> Iterator[Files]:
    """Open a zip archive or a folder; a file in it of more than ``max_file_bytes`` is refused when read.

    Raises :class:`~benchbench.errors.DataError` where ``path`` is no whole zip archive, or an unsafe one.
    """
    if path.is_dir():
        yield _FolderFiles(path, max_file_bytes=max_file_bytes)
        return
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise DataError(
            f"{path} is no whole zip archive: {error}",
            hint="its download may have been cut short: get it again",
        ) from None
    with archive:
        yield _ZipFiles(path, archive, max_file_bytes=max_file_bytes)


class _FolderFiles:
    def __init__(self, path: Path, *, max_file_bytes: int) -> None:
        self.path = path
        self._max_file_bytes = max_file_bytes

    def files_in(self, folder: str) -> frozenset[str]:
        try:
            return frozenset(entry.name for entry in (self.path / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            raise DataError(f"cannot read {self.path / folder}: {error.strerror}") from None

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            _check_size(path.stat().st_size, self._max_file_bytes, where=str(path))
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None


class _ZipFiles:
    def __init__(self, path: Path, archive: zipfile.ZipFile, *, max_file_bytes: int) -> None:
        self.path = path
        self._archive = archive
        self._max_file_bytes = max_file_bytes
        self._folders: defaultdict[str, set[str]] = defaultdict(set)
        for member in archive.infolist():
            _check_member(member, path)
            folder, _, name = member.filename.rpartition("/")
            if name in self._folders[folder]:
                raise DataError(f"{path}: {member.filename} is in the archive twice")
            self._folders[folder].add(name)

    def files_in(self, folder: str) -> frozenset[str]:
        return frozenset(self._folders.get(folder, ())) - {""}

    def read(self, name: str) -> bytes:
        where = f"{self.path}: {name}"
        try:
            member = self._archive.getinfo(name)
            # zipfile reads no more than the size declared here, whatever the compressed bytes swell to.
            _check_size(member.file_size, self._max_file_bytes, where=where)
            return self._archive.read(member)
        except KeyError:
            raise DataError(f"{where} is missing") from None
        except _DAMAGED as error:
            raise DataError(f"{where} is damaged: {error}", hint="get the archive again") from None


def _check_size(num_bytes: int, max_bytes: int, *, where: str) -> None:
    if num_bytes > max_bytes:
        raise DataError(f"{where} has {num_bytes:,} bytes, more than the {max_bytes:,} that such a file can need")


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = member.orig_filename
    if "\0" in name or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        reason = "has an absolute path"
    elif ".." in re.split(r"[/\\]", name):
        reason = "leads out of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        reason = "is a symbolic link"
    elif member.flag_bits & _ENCRYPTED:
        reason = "is encrypted"
    else:
        return
    raise DataError(f"{path} is not safe to read: {name!r} {reason}", hint="get the archive from its source again")
