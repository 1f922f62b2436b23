"""Reads the files of a dataset from a zip archive or a folder, without unpacking or trusting either.

An archive is never extracted: its members are read into memory one at a time, so that a hostile name cannot reach the
disk. Archives with such names are refused anyway, since they are not the dataset.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from benchbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
"""What zipfile raises if an archive is damaged, or uses a feature that zipfile cannot read."""

MAX_SEARCHED_FOLDERS = 1000
"""A dataset is not looked for below more folders than this."""


class Files(Protocol):
    """The files of an archive or a folder. Their names are relative, with ``/`` between their parts."""

    path: Path

    def files_in(self, folder: str) -> frozenset[str]:
        """Return the names of what is directly in ``folder``, without its path; none if it does not exist."""

    def folders_in(self, folder: str) -> frozenset[str]:
        """Return the names of the folders directly in ``folder``."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes, or raise :class:`~benchbench.errors.DataError` naming it."""


@contextmanager
def open_files(path: Path, *, max_file_bytes: int) -> Iterator[Files]:
    """Open a zip archive or a folder. A file of more than ``max_file_bytes`` is refused when it is read.

    Raises :class:`~benchbench.errors.DataError` if ``path`` is a damaged or an unsafe archive.
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


def reader(path: Path, *, max_file_bytes: int) -> Callable[[str], bytes]:
    """Return what reads a file of an archive or a folder by its name, for as long as it is used, by any thread."""
    if path.is_dir():
        return _FolderFiles(path, max_file_bytes=max_file_bytes).read
    return _ZipFiles(path, zipfile.ZipFile(path), max_file_bytes=max_file_bytes).read


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

    def folders_in(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(self.path / folder) as entries:
                return frozenset(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            _check_size(path.stat().st_size, self._max_file_bytes, file=str(path))
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None


class _ZipFiles:
    def __init__(self, path: Path, archive: zipfile.ZipFile, *, max_file_bytes: int) -> None:
        self.path = path
        self._archive = archive
        self._max_file_bytes = max_file_bytes
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: defaultdict[str, set[str]] = defaultdict(set)
        for member in archive.infolist():
            _check_member(member, path)
            self._add(member.filename.replace("\\", "/"), member)  # some programs on Windows write backslashes

    def _add(self, name: str, member: zipfile.ZipInfo) -> None:
        if name in self._members:
            raise DataError(f"{self.path}: {name} is in the archive twice")
        self._members[name] = member
        while name:
            folder, _, last = name.rpartition("/")
            if last in self._folders[folder]:
                break
            self._folders[folder].add(last)
            name = folder

    def files_in(self, folder: str) -> frozenset[str]:
        return frozenset(self._folders.get(folder, ())) - {""}

    def folders_in(self, folder: str) -> frozenset[str]:
        prefix = f"{folder}/" if folder else ""
        return frozenset(name for name in self.files_in(folder) if prefix + name in self._folders)

    def read(self, name: str) -> bytes:
        file = f"{self.path}: {name}"
        member = self._members.get(name)
        if member is None:
            raise DataError(f"{file} is missing")
        try:
            # zipfile reads no more than the size declared here, however much the compressed bytes unpack to.
            _check_size(member.file_size, self._max_file_bytes, file=file)
            return self._archive.read(member)
        except _DAMAGED as error:
            raise DataError(f"{file} is damaged: {error}", hint="get the archive again") from None


def find_prefix(files: Files, is_wanted: Callable[[str], bool], *, max_depth: int = 2) -> str | None:
    """Return the first prefix, such as ``"data/photos/"``, for which ``is_wanted`` is true, or None.

    The top, ``""``, is tried first, and then the folders below it, as deep as ``max_depth``.
    """
    prefixes = [""]
    for _ in range(max_depth + 1):
        for prefix in prefixes:
            if is_wanted(prefix):
                return prefix
        prefixes = [
            f"{prefix}{name}/"
            for prefix in prefixes
            for name in sorted(files.folders_in(prefix.rstrip("/")))
            if not name.startswith((".", "__"))
        ][:MAX_SEARCHED_FOLDERS]
    return None


def _check_size(num_bytes: int, max_bytes: int, *, file: str) -> None:
    if num_bytes > max_bytes:
        raise DataError(f"{file} has {num_bytes:,} bytes, more than the {max_bytes:,} that such a file can need")


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
