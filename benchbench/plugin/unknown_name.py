"""The error for a name that no plugin has: what may have been meant, and why a plugin of that name may be missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import variables
from benchbench.config.kinds import plural
from benchbench.errors import PluginError, closest, listed
from benchbench.plugin.names import disabled_names, is_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from benchbench.plugin.discovery import Broken

MAX_NAMED = 3
"""How many files that cannot be loaded a hint names."""


def no_such_plugin(kind: str, name: str, known: Collection[str], broken: Iterable[Broken]) -> PluginError:
    """Return the error for an unknown name: the closest one, and the broken plugins that may be why.

    A plugin file that cannot be loaded is the error itself: the user named the file. What is wrong with one that can
    be loaded comes before other names.
    """
    broken = [item for item in broken if _may_offer(item.origin, name)]
    failed = {item.origin: item.reason for item in broken if item.raised and item.origin.endswith(".py")}
    if failed:
        return _unloadable(kind, name, known, failed)
    reasons: dict[str, list[str]] = {}
    for item in broken:
        reasons.setdefault(item.origin, []).append(item.reason)
    hints = [f"broken: {origin}: {listed(of_origin, 1)}; bench doctor" for origin, of_origin in reasons.items()]
    hints += [closest(name, known), f"all {plural(kind)}: bench list {plural(kind)}"]
    if not any(map(is_file, reasons)):
        hints.append("a plugin in a file of your own: --plugins FILE")
    if os.environ.get(variables.NO_PLUGINS):
        hints.append("--no-plugins leaves out the plugins of other packages")
    if disabled_names():
        hints.append(f"{variables.DISABLE} leaves out {', '.join(sorted(disabled_names()))}")
    return PluginError(f"no {kind} named {name!r}", hint="\n".join(hint for hint in hints if hint))


def _unloadable(kind: str, name: str, known: Collection[str], failed: Mapping[str, str]) -> PluginError:
    """Return the error for the plugin files that could not be loaded, of which one may offer that name."""
    (file, reason), *others = failed.items()
    hints = (
        f"no {kind} named {name!r} is anywhere else",
        closest(name, known),
        f"nor can these be loaded: {listed([other for other, _ in others], MAX_NAMED)}; bench doctor" if others else "",
    )
    return PluginError(f"{file} cannot be loaded: {reason}", hint="\n".join(filter(None, hints)))


def _may_offer(origin: str, name: str) -> bool:
    # The user named the file and now asks for a plugin, so any broken file may be where it should have been.
    if origin.endswith(".py"):
        return ":" not in name or Path(origin).name == Path(name.rpartition(":")[0]).name
    return name in origin.rpartition(":")[2]
