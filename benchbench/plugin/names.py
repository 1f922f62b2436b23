"""What plugins are called: which names are allowed, disabled or qualified.

``BENCH_DISABLE`` names what is left out; ``BENCH_NO_PLUGINS``, which ``--no-plugins`` sets, leaves out all packages but
ours, and the files in ``BENCH_PLUGINS``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

DISABLED, ONLY_OURS = "BENCH_DISABLE", "BENCH_NO_PLUGINS"
PLUGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a plugin may be called."""


def disabled_names() -> frozenset[str]:
    """Return what ``BENCH_DISABLE`` lists: names of plugins, entry points, packages or files, or origins."""
    return frozenset(name.strip() for name in os.environ.get(DISABLED, "").split(",") if name.strip())


def qualified(origin: str, name: str) -> str:
    """Return the name of a plugin that says where it is from: ``my-nets:alexnet``, ``mine.py:alexnet``."""
    return f"{Path(origin).name if is_file(origin) else origin.partition(':')[0]}:{name}"


def bare(name: str) -> str:
    """Return ``alexnet`` for ``my-nets:alexnet``, and any other name as it is."""
    return name.rpartition(":")[2]


def is_file(origin: str) -> bool:
    """Tell whether an origin is a plugin file."""
    return os.sep in origin or origin.endswith(".py")
