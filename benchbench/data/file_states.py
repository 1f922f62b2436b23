"""Tells whether files have changed, without reading them."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def state_of(path: Path) -> tuple[str, str]:
    """Return a path and a digest of what changes with it: of each file its name, its size and its times.

    Swapping two files of the same size and age leaves their modification times as they are; only the time of the
    last change of their inodes tells.
    """
    digest = hashlib.sha256()
    for name, status in sorted(files_below(path), key=itemgetter(0)):
        digest.update(json.dumps([name, status.st_size, status.st_mtime_ns, status.st_ctime_ns]).encode())
    return (str(path.resolve()), digest.hexdigest())


def files_below(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each file at or below a path by its name relative to it; what cannot be looked at is left out."""
    if not path.is_dir():
        with suppress(OSError):
            yield "", path.stat()
        return
    for folder, subfolders, names in os.walk(path, followlinks=True):
        parent = Path(folder)
        subfolders[:] = [name for name in subfolders if not leads_back(parent / name)]
        for name in names:
            with suppress(OSError):
                file = parent / name
                yield file.relative_to(path).as_posix(), file.stat()


def leads_back(folder: Path) -> bool:
    """Tell whether a folder is a link to one of those that it lies in, which would never end."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("end").parents
