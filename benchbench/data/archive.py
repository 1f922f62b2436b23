"""Reads the files of a dataset from a zip or tar archive or a folder, without unpacking or trusting either.

An archive is never extracted: its members are read into memory one at a time, so that a hostile name cannot reach the
disk. Archives with such names are refused anyway, since they are not the dataset.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchbench.data.file_states import leads_back
from benchbench.errors import DataError
from benchbench.records.zip_errors import ZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENCRYPTED = 0x1
_UTF8 = 0x800
"""The flag of a member whose name is UTF-8. zipfile takes all other names for code page 437."""

_WESTERN = "¡¿«»¢£¥°²·¼½±µ"
"""Signs that names have; the others of code page 437 draw boxes, and come from names in other encodings."""

TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar")

OF_SYSTEMS = frozenset(
    {
        "__MACOSX",
        "@eaDir",
        "@Recycle",
        "@Recently-Snapshot",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)
"""Folders that operating systems and network drives create, such as for thumbnails and deleted files."""

OTHER_ARCHIVES = (".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz")
"""Suffixes of archives that are not read."""

MAX_SEARCHED_FOLDERS = 1000
"""The most folders that are searched for a dataset."""


class Files(Protocol):
    """The files of an archive or a folder. Their names are relative, with ``/`` between their parts."""

    path: Path

    def files_in(self, folder: str) -> frozenset[str]:
        """Return the names of what is directly in ``folder``, without its path; none if it does not exist."""

    def folders_in(self, folder: str) -> frozenset[str]:
        """Return the names of the folders directly in ``folder``."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes, or raise :class:`~benchbench.errors.DataError` naming it."""


def _begins_like_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


@contextmanager
def open_files(path: Path, *, max_file_bytes: int) -> Iterator[Files]:
    """Open a zip or tar archive, or a folder. A file of more than ``max_file_bytes`` is refused when it is read.

    Raises :class:`~benchbench.errors.DataError` if ``path`` is a damaged or an unsafe archive.
    """
    if path.is_dir():
        yield _FolderFiles(path, max_file_bytes=max_file_bytes)
        return
    if path.name.lower().endswith(TAR_SUFFIXES):
        with _opened_tar(path) as tar:
            yield _TarFiles(path, tar, max_file_bytes=max_file_bytes)
        return
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        if isinstance(error, OSError):
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        is_other = path.name.lower().endswith(OTHER_ARCHIVES)
        if not is_other and path.suffix.lower() != ".zip" and not _begins_like_zip(path):
            raise DataError(
                f"{path} is neither a folder nor an archive", hint="name the folder of the images, or a zip archive"
            ) from None
        raise DataError(
            f"{path} is not a complete zip archive: {error}",
            hint="unpack it, and name its folder" if is_other else "the download may be incomplete: download it again",
        ) from None
    with archive:
        yield _ZipFiles(path, archive, max_file_bytes=max_file_bytes)


def reader(path: Path, *, max_file_bytes: int) -> Callable[[str], bytes]:
    """Return a function that reads a file of an archive or folder by name. Any thread may call it, at any time."""
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
                return frozenset(entry.name for entry in entries if _is_folder(entry))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            raise DataError(f"cannot read {self.path / folder}: {error.strerror}") from None

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            _check_size(path.stat().st_size, self._max_file_bytes, file=str(path))
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one that does not lead back to where it is."""
    try:
        return entry.is_dir() and not leads_back(Path(entry.path))
    except OSError:  # a link to itself
        return False


class _Names:
    """The names of the members of an archive, by their folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: set[str] = set()
        self._folders: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, name: str) -> None:
        if name in self._names:
            raise DataError(f"{self.path}: {name} is in the archive twice")
        self._names.add(name)
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


class _ZipFiles(_Names):
    def __init__(self, path: Path, archive: zipfile.ZipFile, *, max_file_bytes: int) -> None:
        super().__init__(path)
        self._archive = archive
        self._max_file_bytes = max_file_bytes
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            _check_member(member, path)
            # Some programs on Windows write backslashes, and others begin every name with the current folder.
            name = _member_name(member, path).replace("\\", "/").removeprefix("./")
            self.add(name)
            self._members[name] = member

    def read(self, name: str) -> bytes:
        file = f"{self.path}: {name}"
        member = self._members.get(name)
        if member is None:
            raise DataError(f"{file} is missing")
        try:
            # zipfile reads no more than the size declared here, however much the compressed bytes unpack to.
            _check_size(member.file_size, self._max_file_bytes, file=file)
            return self._archive.read(member)
        except OSError as error:  # of the disk
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error
        except ZIP_ERRORS as error:
            raise DataError(f"{file} is damaged: {error}", hint="download the archive again") from error


def _member_name(member: zipfile.ZipInfo, path: Path) -> str:
    """Return the name of a member. macOS writes UTF-8 without saying so, and Windows the code page of its country.

    Raises :class:`DataError` for a name that is neither UTF-8 nor, it seems, in Western letters.
    """
    name = member.filename
    if member.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        content = name.encode("cp437")
    except UnicodeEncodeError:  # zipfile has found it in a field of its own, as UTF-8
        return name
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8")
    # In East Asian code pages, the second byte of a character may be a backslash.
    if "\\" in name or not all(letter.isascii() or letter.isalpha() or letter in _WESTERN for letter in name):
        raise DataError(f"{path} has names in an unknown encoding: {name!r}", hint="unpack it, and name its folder")
    return name


class _TarFiles(_Names):
    def __init__(self, path: Path, archive: tarfile.TarFile, *, max_file_bytes: int) -> None:
        super().__init__(path)
        self._archive = archive
        self._max_file_bytes = max_file_bytes
        self._members: dict[str, tarfile.TarInfo] = {}
        for member in archive:
            problem = "is a link" if member.issym() or member.islnk() else _name_problem(member.name)
            if problem:
                raise _unsafe(path, member.name, problem)
            if member.isfile():
                name = member.name.removeprefix("./")
                self.add(name)
                self._members[name] = member

    def read(self, name: str) -> bytes:
        file = f"{self.path}: {name}"
        member = self._members.get(name)
        if member is None:
            raise DataError(f"{file} is missing")
        _check_size(member.size, self._max_file_bytes, file=file)
        content = self._archive.extractfile(member)
        return content.read() if content else b""


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path} is not a complete tar archive: {error}", hint="the download may be incomplete: download it again"
        ) from None


MAX_DEPTH = 2


def is_of_system(name: str) -> bool:
    """Tell whether a file or a folder is hidden, or one that a system or a network drive made by itself."""
    return name.startswith(".") or name in OF_SYSTEMS


def find_prefix(files: Files, is_wanted: Callable[[str], bool]) -> str | None:
    """Return the first prefix, such as ``"data/photos/"``, for which ``is_wanted`` is true, or None.

    The top, ``""``, is tried first, and then the folders below it, two deep.
    """
    prefixes = [""]
    for _ in range(MAX_DEPTH + 1):
        for prefix in prefixes:
            if is_wanted(prefix):
                return prefix
        prefixes = [
            f"{prefix}{name}/"
            for prefix in prefixes
            for name in sorted(files.folders_in(prefix.rstrip("/")))
            if not is_of_system(name)
        ][:MAX_SEARCHED_FOLDERS]
    return None


def _check_size(num_bytes: int, max_bytes: int, *, file: str) -> None:
    if num_bytes > max_bytes:
        raise DataError(f"{file} has {num_bytes:,} bytes, more than the {max_bytes:,} that such a file can need")


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = member.orig_filename
    problem = _name_problem(name)
    if not problem and stat.S_ISLNK(member.external_attr >> 16):
        problem = "is a symbolic link"
    if not problem and member.flag_bits & _ENCRYPTED:
        problem = "is encrypted"
    if problem:
        raise _unsafe(path, name, problem)


def _name_problem(name: str) -> str:
    if "\0" in name or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    return "leads out of the archive" if ".." in re.split(r"[/\\]", name) else ""


def _unsafe(path: Path, name: str, problem: str) -> DataError:
    return DataError(f"{path} is not safe to read: {name!r} {problem}", hint="get the archive from its source again")
