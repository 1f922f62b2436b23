"""Finds plugins, in entry points and plugin files, without importing them.

The origin of a plugin module is ``distribution:entry`` for an entry point, and its path for a plugin file. If two
plugins of a kind have the same name, the second one is called ``distribution:name``, or ``file.py:name``, with as many
folders before it as tell the two apart.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import variables
from benchbench.config.kinds import KINDS, plural
from benchbench.errors import PluginError
from benchbench.paths import expanded
from benchbench.plugin.loose import load_file
from benchbench.plugin.names import disabled_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

GROUP = "benchbench"
HOOK_OF_KIND = {kind: f"{GROUP}_{plural(kind)}" for kind in KINDS}


@dataclass(frozen=True)
class Broken:
    """A plugin, or a part of one, that cannot be used, and the reason in one line.

    ``raised``: its module or a hook raised an exception or ended Python, perhaps for something outside of its files.
    """

    origin: str
    reason: str
    raised: bool = False


@dataclass(frozen=True)
class Packaged:
    """A plugin that is an entry point of an installed distribution."""

    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def origin(self) -> str:
        """Return ``distribution:entry``."""
        return f"{self.distribution}:{self.entry_point.name}"

    @property
    def names(self) -> set[str]:
        """Return all that it can be called by."""
        return {self.origin, self.distribution, self.entry_point.name}

    def load(self) -> object:
        """Import it and return the module (or object) that carries the hooks."""
        return self.entry_point.load()


@dataclass(frozen=True)
class LooseFile:
    """A plugin file that the user named by its path."""

    path: Path

    @property
    def origin(self) -> str:
        """Return the path as it was given."""
        return str(self.path)

    @property
    def names(self) -> set[str]:
        """Return all that it can be called by."""
        return {self.origin, self.path.name, self.path.stem}

    def load(self) -> object:
        """Run the file as a module of its own and return it; leaves no ``__pycache__`` beside it."""
        return load_file(self.path)


Source = Packaged | LooseFile


def find_sources(files: Iterable[str | Path] = ()) -> tuple[Source, ...]:
    """Return all plugins, in the order in which they claim names: ours, other packages by name, then files.

    A folder stands for every ``*.py`` directly in it that does not begin with ``_``.
    What the user disabled is left out. Raises :class:`PluginError` for a path that does not exist.
    """
    disabled = disabled_names()
    sources: list[Source] = [*_packaged(), *_loose(files)]
    return tuple(source for source in sources if not disabled.intersection(source.names))


def package_paths(name: str) -> tuple[Path, ...]:
    """Return the folders of a package, or the file of a single module, found without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    locations = list(spec.submodule_search_locations or ())
    return tuple(map(Path, locations or [spec.origin or name]))


def loose_files(given: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the plugin paths in ``BENCH_PLUGINS`` (separated as in ``PATH``), then the given ones."""
    named = [] if os.environ.get(variables.NO_PLUGINS) else os.environ.get(variables.PLUGINS, "").split(os.pathsep)
    return tuple(dict.fromkeys(path for path in (*named, *given) if path))


def _packaged() -> list[Packaged]:
    plugins = [
        Packaged(entry.dist.name, entry.dist.version, entry)
        for entry in entry_points(group=GROUP)
        if entry.dist is not None and (entry.dist.name == GROUP or not os.environ.get(variables.NO_PLUGINS))
    ]
    # Ours come first, so that installing a package never changes what a shipped name means.
    return sorted(plugins, key=lambda source: (source.distribution != GROUP, source.origin))


def _loose(files: Iterable[str | Path]) -> list[LooseFile]:
    loose: dict[Path, LooseFile] = {}
    for source in map(expanded, files):
        if not source.exists():
            raise PluginError(f"no plugin file or folder {str(source)!r}", hint="see --plugins and BENCH_PLUGINS")
        paths = sorted(source.glob("[!_]*.py")) if source.is_dir() else [source]
        for path in paths:
            loose.setdefault(path.resolve(), LooseFile(path))
    return list(loose.values())
