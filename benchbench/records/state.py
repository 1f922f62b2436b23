"""The folder of our state, and its small JSON files: replaced whole, and passed over if damaged."""

from __future__ import annotations

import errno
import logging
import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from benchbench import variables
from benchbench.errors import BenchError, SpecError, TrialError
from benchbench.paths import NO_LOCKS, expanded, write_atomically
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)
_named: set[Path] = set()
T = TypeVar("T")

GOES_ON = "free some disk space and run the same command again: it resumes from the last good checkpoint"


_READ_ONLY = (errno.EACCES, errno.ENOTDIR, errno.EPERM, errno.EROFS)


def state_folder() -> Path:
    """Return the folder of our state: ``BENCH_STATE``, or ``.bench`` in the working folder."""
    return expanded(os.environ.get(variables.STATE) or ".bench")


def read_state(path: Path, kind: type[T]) -> T | None:
    """Return the value in a file, or None if there is no such file or it is damaged; a warning names that one."""
    try:
        return json_adapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        pass_over(path, "damaged")
        return None


def write_state(path: Path, value: object) -> None:
    """Replace a file; raises what :func:`not_written` returns."""
    try:
        write_atomically(path, json_adapter(type(value)).dump_json(value))
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError | NotImplementedError) -> BenchError:
    """Return the error for state that cannot be written or locked; not only a full disk may be the reason."""
    if isinstance(error, NotImplementedError) or error.errno in NO_LOCKS:
        return SpecError(f"the file system of {path} has no locks", hint="set BENCH_STATE to a folder on another disk")
    message = f"{path} cannot be written: {error.strerror}"
    if error.errno in _READ_ONLY:
        return SpecError(message, hint="start bench in a folder that you may write to, or set BENCH_STATE")
    return TrialError(message, hint=GOES_ON)


@contextmanager
def locked(path: Path, *, timeout: float = -1) -> Iterator[None]:
    """Hold a lock, whose folder is made if it is not there.

    Raises :class:`filelock.Timeout` after so many seconds, with a negative number never, and what
    :func:`not_written` returns.
    """
    lock = FileLock(path, timeout=timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        raise not_written(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def pass_over(path: Path, reason: str) -> None:
    """Name a file that is not used, once in this process."""
    if path not in _named:
        _named.add(path)
        _log.warning("ignored, since it is %s: %s (delete it to silence this)", reason, path)


def folder_id(*, is_made: bool = False) -> str:
    """Return what tells our folder from all others, wherever it is moved; empty if nothing was kept and none is made.

    Raises what :func:`not_written` returns.
    """
    path = state_folder() / "folder"
    try:
        known = path.read_text(encoding="utf-8").strip() if path.exists() else ""
        if known or not is_made:
            return known
        with locked(path.with_suffix(".lock")):  # another call may be making one
            if not path.exists():
                write_atomically(path, uuid.uuid4().hex.encode())
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise not_written(path, error) from error
