"""What is made once for all tests, in a folder that all processes of pytest-xdist know, as it takes seconds to make."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "BENCH_TEST_SHARED"


def shared_folder(name: str) -> Path:
    """Return a folder for things of one sort."""
    folder = Path(os.environ[VARIABLE], name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def share_catalogs(cache: Path) -> Path:
    """Let a cache folder, which is made if needed, use the catalogs of plugins of all tests, and return it.

    The name of a catalog is a digest of all that it depends on, so that no test gets one of other plugins.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (cache / "catalog").symlink_to(shared_folder("catalogs"))
    return cache


def share_caches(cache: Path) -> Path:
    """Let a cache folder use the catalogs of all tests and their decoded images of ``digits``, and return it."""
    share_catalogs(cache)
    (cache / "decoded").mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (cache / "decoded" / "digits").symlink_to(shared_folder("digits"))
    return cache
