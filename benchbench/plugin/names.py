"""What plugins are called: which names are allowed, disabled or qualified, and the error for one that is unknown.

``BENCH_DISABLE`` names what is left out; ``BENCH_NO_PLUGINS``, which ``--no-plugins`` sets, leaves out all packages but
ours, and the files in ``BENCH_PLUGINS``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.kinds import plural
from benchbench.errors import PluginError, closest, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from benchbench.plugin.discovery import Broken

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
    """Tell whether an origin is a loose file."""
    return os.sep in origin or origin.endswith(".py")


def no_such_plugin(kind: str, name: str, known: Collection[str], broken: Iterable[Broken]) -> PluginError:
    """Return the error for an unknown name: the closest one, and the broken plugins that may be why."""
    hints = [closest(name, known), f"all {plural(kind)}: bench list {plural(kind)}"]
    reasons: dict[str, list[str]] = {}
    for item in broken:
        if _may_offer(item.origin, name):
            reasons.setdefault(item.origin, []).append(item.reason)
    hints.append("a plugin in a file of your own: --plugins FILE")
    hints += [f"broken: {origin}: {listed(of_origin, 1)}; bench doctor" for origin, of_origin in reasons.items()]
    if os.environ.get(ONLY_OURS):
        hints.append("--no-plugins leaves out the plugins of other packages")
    if disabled_names():
        hints.append(f"{DISABLED} leaves out {', '.join(sorted(disabled_names()))}")
    return PluginError(f"no {kind} named {name!r}", hint="  ".join(hint for hint in hints if hint))


def _may_offer(origin: str, name: str) -> bool:
    # The user named the file and now asks for a plugin, so any broken file may be where it should have been.
    return origin.endswith(".py") or name in origin.rpartition(":")[2]
