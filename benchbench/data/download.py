"""Where a dataset's images are, and getting them from the net where they are not here yet."""

from __future__ import annotations

import hashlib
import os
import re
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from benchbench.errors import DataError, SpecError
from benchbench.paths import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

    from benchbench.plugin.base import Download

    Progress = Callable[[int, int], None]
    """Is told the bytes that are here and the bytes that there will be."""

ATTEMPTS = 4
"""How often in a row a connection may fail without bringing a single byte."""

TIMEOUT_SECONDS = (10, 30)
"""To connect, and between two pieces."""

CHUNK_BYTES = 1 << 16


class _Broken(Exception):  # noqa: N818 - no error yet: it is tried again
    """A connection that failed and may be better the next time."""


def parse_data_options(values: Iterable[str]) -> dict[str, Path]:
    """Return ``{name: path}`` for texts like ``PATH`` (its name is ``""``) and ``NAME=PATH``.

    Raises :class:`~benchbench.errors.SpecError` for an empty path, or two of one name.
    """
    found: dict[str, Path] = {}
    for value in values:
        named = re.fullmatch(r"([\w.-]+)=(.*)", value)
        name, path = (named[1], named[2]) if named else ("", value)
        if not path:
            raise SpecError(f"--data {value!r} has no path", hint="--data PATH, or --data NAME=PATH")
        if name in found:
            which = f"the dataset {name!r}" if name else "datasets without a name"
            raise SpecError(f"--data is given twice for {which}", hint="--data NAME=PATH, once for each dataset")
        found[name] = Path(path).expanduser()
    return found


def locate(name: str, download: Download | None, given: Mapping[str, Path]) -> Path:
    """Return where the images of dataset ``name`` are, or would be if they were fetched.

    ``given`` comes from ``--data`` and goes before the variable ``BENCH_DATA``, a name before none. Raises
    :class:`~benchbench.errors.DataError` where a given path does not exist.
    """
    texts = os.environ.get("BENCH_DATA", "").split(os.pathsep)
    from_environment = parse_data_options(text for text in texts if text)
    for origin, paths in (("--data", given), ("BENCH_DATA", from_environment)):
        path = paths.get(name) or paths.get("")
        if path and not path.exists():
            raise DataError(f"no images of {name} at {path}: there is no such file or folder ({origin})")
        if path:
            return path
    return data_folder() / (download.file_name if download else name)


def data_folder() -> Path:
    """Return the folder that downloads are kept in. It need not exist."""
    return cache_folder() / "data"


def ensure(
    name: str, download: Download | None, given: Mapping[str, Path], on_progress: Progress | None = None
) -> Path:
    """Return where the images of dataset ``name`` are, after fetching them if they are nowhere.

    The path need not exist where the dataset has no download. Raises :class:`~benchbench.errors.DataError`.
    """
    path = locate(name, download, given)
    if download is None or path.exists():
        return path
    try:
        return fetch(download, path.parent, on_progress=on_progress)
    except DataError as error:
        raise DataError(f"the images of {name} are not here: {error.message}", hint=ways_out(name)) from None


def ways_out(name: str) -> str:
    """Return what to do where the images of a dataset are not here."""
    return (
        f"--data PATH to say where they are; bench data fetch {name} to download them; "
        "or the digits dataset, which is always here"
    )


def fetch(download: Download, folder: Path, *, on_progress: Progress | None = None) -> Path:
    """Return the path of the downloaded file in ``folder``, whole and checked.

    What was interrupted is resumed, in this call or the next. Two processes at once download it once.
    Raises :class:`~benchbench.errors.DataError` where it cannot be had or its checksum is wrong.
    """
    target = folder / download.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{download.file_name}.lock"):
            if not target.exists():
                partial = folder / f"{download.file_name}.partial"
                _fill(partial, download, on_progress or _ignore)
                _check_or_drop(partial, download)
                partial.replace(target)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error}", hint="BENCH_CACHE=FOLDER for another place") from None
    return target


def _check_or_drop(partial: Path, download: Download) -> None:
    try:
        check_file(partial, download)
    except DataError as error:
        partial.unlink()
        raise DataError(f"{download.url} is not the file expected: {error.message}") from None


def _ignore(num_bytes: int, total_bytes: int) -> None: ...


def check_file(path: Path, download: Download) -> None:
    """Raise :class:`~benchbench.errors.DataError` where a file is not what the download should be."""
    num_bytes = path.stat().st_size
    if num_bytes != download.num_bytes:
        raise DataError(f"{path} has {num_bytes:,} bytes, not {download.num_bytes:,}", hint="get it again")
    found = file_digest(path, "md5")
    if found != download.md5:
        raise DataError(f"{path} has the wrong MD5 checksum: {found}, not {download.md5}", hint="get it again")


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
        except _Broken as error:
            failures = 0 if _size(partial) > most_bytes else failures + 1
            most_bytes = max(most_bytes, _size(partial))
            if failures >= ATTEMPTS:
                raise DataError(
                    f"cannot download {download.url}: {error}",
                    hint="what came so far is kept, and resumed by the next try",
                ) from None
            time.sleep(2**failures / 8)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(partial: Path, download: Download, on_progress: Progress) -> None:
    """Add to ``partial`` what one connection brings."""
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
        raise _Broken(_reason(error)) from None
    if num_bytes < download.num_bytes:
        raise _Broken(f"it ended after {num_bytes:,} of {download.num_bytes:,} bytes")


def _prepare(partial: Path, response: requests.Response) -> None:
    """Leave of ``partial`` what the response goes on from."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {_size(partial)}-"):
            return
        partial.unlink(missing_ok=True)
        raise _Broken("the server went on from another place than it was asked to")
    answer = f"the server answers {response.status_code} {response.reason}"
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.unlink(missing_ok=True)
        raise _Broken(answer)
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Broken(answer)
    if response.status_code != HTTPStatus.OK:
        raise DataError(f"cannot download {response.url}: {answer}")
    partial.unlink(missing_ok=True)  # it sends the whole, asked for the rest or not


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection: the outer ones repeat it at length."""
    inner = getattr(error, "reason", None) or next((arg for arg in error.args if isinstance(arg, Exception)), None)
    return _reason(inner) if isinstance(inner, Exception) else str(error)
