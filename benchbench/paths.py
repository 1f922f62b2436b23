"""Where files that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the base of our caches: ``BENCH_CACHE``, or the user's cache folder; it need not exist."""
    given = os.environ.get("BENCH_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("benchbench")
