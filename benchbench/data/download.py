"""Downloading the public file of a dataset: resumed if it was interrupted, and checked when it is whole."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from filelock import FileLock

from benchbench.data.locations import data_folder
from benchbench.errors import DataError
from benchbench.plugin.dataset import Download, Downloads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from benchbench.data.locations import DataPaths

    Progress = Callable[[int, int], None]
    """Is called with the number of bytes so far and the number of all bytes."""

ATTEMPTS = 4
"""How many connections in a row may fail without a single new byte."""

TIMEOUT_SECONDS = (10, 30)
"""To connect, and between two chunks."""

CHUNK_BYTES = 1 << 16


class _Interrupted(Exception):  # noqa: N818 - no error yet: the download is tried again
    """A connection that failed; the next one may work."""


def ensure(
    name: str, download: Download | Downloads | None, paths: DataPaths, on_progress: Progress | None = None
) -> Path:
    """Return where the images of a dataset are, after downloading them if they are nowhere.

    The path need not exist if the dataset has no download. Raises :class:`~benchbench.errors.DataError`.
    """
    path = paths.locate(name, download)
    if download is None or is_here(path, download):
        return path
    try:
        return fetch(download, path.parent, on_progress=on_progress)
    except DataError as error:
        raise DataError(f"the images of {name} are not here: {error.message}", hint=missing_images_hint(name)) from None


def is_here(path: Path, download: Download | Downloads | None) -> bool:
    """Tell whether images are at a path; of the folder of several downloads, whether it has all files."""
    if isinstance(download, Downloads) and path == data_folder() / download.file_name:
        return all((path / file.file_name).exists() for file in download.files)
    return path.exists()


def missing_images_hint(name: str) -> str:
    """Return what a user can do if the images of a dataset are not here."""
    return (
        f"--data {name}=PATH if you have them; bench data fetch {name} downloads them; "
        "the digits dataset needs no download"
    )


def fetch(download: Download | Downloads, folder: Path, *, on_progress: Progress | None = None) -> Path:
    """Return the path of the downloaded file in ``folder``, whole and checked, or of the folder of several files.

    An interrupted download is resumed, by this call or the next. Two processes at once download a file once.
    Raises :class:`~benchbench.errors.DataError` if a file cannot be downloaded or its checksum is wrong.
    """
    report = on_progress or _ignore
    if isinstance(download, Download):
        return _fetch_file(download, folder, report)
    before = 0
    for file in download.files:
        _fetch_file(file, folder / download.file_name, _ProgressOfNext(report, before, download.num_bytes))
        before += file.num_bytes
    return folder / download.file_name


@dataclass(frozen=True)
class _ProgressOfNext:
    """Reports the progress of one file after others."""

    report: Progress
    before: int
    total_bytes: int

    def __call__(self, num_bytes: int, total_bytes: int) -> None:
        del total_bytes  # of this file
        self.report(self.before + num_bytes, self.total_bytes)


def _fetch_file(download: Download, folder: Path, on_progress: Progress) -> Path:
    target = folder / download.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{download.file_name}.lock"):
            if not target.exists():
                partial = folder / f"{download.file_name}.partial"
                _fill(partial, download, on_progress)
                _check_or_drop(partial, download)
                partial.replace(target)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error}", hint="BENCH_CACHE=FOLDER names another folder") from None
    return target


def _check_or_drop(partial: Path, download: Download) -> None:
    try:
        check_file(partial, download)
    except DataError as error:
        partial.unlink()
        raise DataError(f"{download.url} is not the file expected: {error.message}") from None


def _ignore(num_bytes: int, total_bytes: int) -> None: ...


def check_file(path: Path, download: Download) -> None:
    """Raise :class:`~benchbench.errors.DataError` if a file is not the one that was to be downloaded."""
    num_bytes = path.stat().st_size
    if num_bytes != download.num_bytes:
        raise DataError(f"{path} has {num_bytes:,} bytes, not {download.num_bytes:,}", hint="download it again")
    digest = file_digest(path, "md5")
    if digest != download.md5:
        raise DataError(f"{path} has the wrong MD5 checksum: {digest}, not {download.md5}", hint="download it again")


def file_digest(path: Path, algorithm: str) -> str:
    """Return a file's digest in hexadecimal; ``algorithm`` as hashlib names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _fill(partial: Path, download: Download, on_progress: Progress) -> None:
    """Download until ``partial`` has as many bytes as it should."""
    if _size(partial) > download.num_bytes:
        partial.unlink()
    failures, most_bytes = 0, _size(partial)
    while _size(partial) < download.num_bytes:
        try:
            _receive(partial, download, on_progress)
        except _Interrupted as error:
            failures = 0 if _size(partial) > most_bytes else failures + 1
            most_bytes = max(most_bytes, _size(partial))
            if failures >= ATTEMPTS:
                raise DataError(
                    f"cannot download {download.url}: {error}",
                    hint="the part that was downloaded is kept; the next try resumes it",
                ) from None
            time.sleep(2**failures / 8)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(partial: Path, download: Download, on_progress: Progress) -> None:
    """Add to ``partial`` the bytes of one connection."""
    import requests

    num_bytes = _size(partial)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={num_bytes}-"} if num_bytes else {})
    try:
        with requests.get(download.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            _prepare(partial, response)
            num_bytes = _size(partial)
            with partial.open("ab") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    num_bytes += file.write(chunk)
                    on_progress(num_bytes, download.num_bytes)
                    if num_bytes > download.num_bytes:
                        break  # another file, which must not fill the disk
    except requests.RequestException as error:
        raise _Interrupted(_reason(error)) from None
    if num_bytes < download.num_bytes:
        raise _Interrupted(f"the connection ended after {num_bytes:,} of {download.num_bytes:,} bytes")


def _prepare(partial: Path, response: requests.Response) -> None:
    """Cut ``partial`` to the part that the response continues."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {_size(partial)}-"):
            return
        partial.unlink(missing_ok=True)
        raise _Interrupted("the server did not resume at the requested byte")
    answer = f"the server answers {response.status_code} {response.reason}"
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.unlink(missing_ok=True)
        raise _Interrupted(answer)
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Interrupted(answer)
    if response.status_code != HTTPStatus.OK:
        raise DataError(f"cannot download {response.url}: {answer}")
    partial.unlink(missing_ok=True)  # the whole file comes, though the rest was asked for


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection: the outer ones repeat it at length."""
    inner = getattr(error, "reason", None) or next((arg for arg in error.args if isinstance(arg, Exception)), None)
    return _reason(inner) if isinstance(inner, Exception) else str(error)
