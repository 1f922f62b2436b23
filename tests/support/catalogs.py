"""Catalogs of plugins that all tests share: making one imports torch in a process of its own, which takes seconds."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "BENCH_TEST_CATALOGS"


def share(cache: Path) -> Path:
    """Let a cache folder, which is made if needed, use the catalogs of all tests, and return it.

    The name of a catalog is a digest of all that it depends on, so that no test gets one of other plugins.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (cache / "catalog").symlink_to(os.environ[VARIABLE])
    return cache
