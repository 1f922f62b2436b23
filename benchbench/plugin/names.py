"""What plugins are called: which names are allowed, disabled or qualified.

``BENCH_DISABLE`` names what is left out; ``BENCH_NO_PLUGINS``, which ``--no-plugins`` sets, leaves out all packages but
ours, and the files in ``BENCH_PLUGINS``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import variables

if TYPE_CHECKING:
    from collections.abc import Iterable

PLUGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a plugin may be called."""


def disabled_names() -> frozenset[str]:
    """Return what ``BENCH_DISABLE`` lists: names of plugins, entry points, packages or files, or origins."""
    return frozenset(name.strip() for name in os.environ.get(variables.DISABLE, "").split(",") if name.strip())


def is_shipped(origin: str) -> bool:
    """Tell whether a plugin comes with benchbench."""
    return origin.startswith("benchbench:")


def qualified(origin: str, name: str, rivals: Iterable[str] = ()) -> str:
    """Return the name of a plugin that says where it is from: ``my-nets:alexnet``, ``mine.py:alexnet``.

    ``rivals`` are the origins of others of that name. If they are files that are called the same too, as many folders
    are named as tell them apart: ``v1/mine.py:alexnet``.
    """
    if not is_file(origin):
        return f"{origin.partition(':')[0]}:{name}"
    parts = _parts(origin)
    others = {_parts(rival) for rival in rivals if is_file(rival)} - {parts}
    lengths = range(1, len(parts))
    length = next((length for length in lengths if all(other[-length:] != parts[-length:] for other in others)), 1)
    return f"{'/'.join(parts[-length:])}:{name}"


def is_qualified(asked: str, origin: str, name: str) -> bool:
    """Tell whether a text is the name of this plugin with its package, or the end of its path, before it."""
    source, _, short = asked.rpartition(":")
    if not source or short != name:
        return False
    if not is_file(origin):
        return source == origin.partition(":")[0]
    parts = Path(source).parts
    return _parts(origin)[-len(parts) :] == parts


def _parts(file: str) -> tuple[str, ...]:
    return Path(os.path.abspath(file)).parts  # noqa: PTH100 - without "..", and as the user wrote links


def bare(name: str) -> str:
    """Return ``alexnet`` for ``my-nets:alexnet``, and any other name as it is."""
    return name.rpartition(":")[2]


def is_file(origin: str) -> bool:
    """Tell whether an origin is a plugin file."""
    return os.sep in origin or origin.endswith(".py")
