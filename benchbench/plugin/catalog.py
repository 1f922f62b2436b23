"""Names, parameters and help of all plugins, kept in the cache so that listing them does not load them.

Loading the plugins takes seconds, since they import torch. ``python -m benchbench.plugin.catalog`` does that in a
process of its own. Its answer is kept until a package, a plugin's file or a module that it imports changes. If a
plugin raised an exception while it was loaded, it is not used again: the reason may be gone without such a change.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.config.composition import join, part_names, split
from benchbench.config.kinds import KINDS, plural
from benchbench.errors import PluginError
from benchbench.paths import cache_folder, write_atomically
from benchbench.plugin.code import loose_source_files
from benchbench.plugin.description import Entry, describe
from benchbench.plugin.discovery import Broken, Packaged, find_sources, package_paths
from benchbench.plugin.names import bare, disabled_names, is_file, is_qualified, qualified
from benchbench.plugin.unknown_name import no_such_plugin
from benchbench.processes import ask, exit_reason, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchbench.config.composition import Value
    from benchbench.config.kinds import Kind
    from benchbench.config.spec import Draft, PluginDraft
    from benchbench.plugin.discovery import Source
    from benchbench.plugin.registry import Registry

KEPT_CATALOGS = 16
"""How many catalogs the cache keeps, those used last; each change of a plugin makes another one."""


@dataclass(frozen=True)
class Catalog:
    """All plugins, sorted by kind and name, the broken ones, and the origins of listeners and commands."""

    entries: tuple[Entry, ...] = ()
    broken: tuple[Broken, ...] = ()
    listeners: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @staticmethod
    def read(files: Iterable[str | Path] = ()) -> Catalog:
        """Return the installed plugins and those in ``files``. It takes seconds after a change or an exception.

        Raises :class:`PluginError` for a path that does not exist.
        """
        paths = [str(file) for file in files]
        path = _path_of(paths)
        kept = _read_kept(path)
        if kept is not None and not any(item.raised for item in kept.broken):
            return kept
        catalog = _build(paths)
        _keep(catalog, path)
        return catalog

    @staticmethod
    def kept(files: Iterable[str | Path] = ()) -> Catalog | None:
        """Return the catalog that is in the cache, or None if there is none since the last change.

        A plugin that raised an exception when it was loaded may be well by now.
        """
        return _read_kept(_path_of([str(file) for file in files]))

    def find(self, kind: str, name: str) -> Entry:
        """Return a plugin's entry; raises :class:`PluginError` with the closest name.

        ``package:name`` finds the plugin of a package, whether or not another one has the shorter name.
        """
        for entry in self._meant_by(kind, name):
            return entry
        raise no_such_plugin(kind, name, [entry.name for entry in self.of_kind(kind)], self.broken)

    def _meant_by(self, kind: str, name: str) -> list[Entry]:
        """Return the plugins that a name may stand for; the first is the one that has it."""
        entries = self.of_kind(kind)
        exact = [entry for entry in entries if entry.name == name]
        if ":" in name:
            return exact or [entry for entry in entries if is_qualified(name, entry.origin, bare(entry.name))]
        # A package never changes what a name means; a plugin file, which the user named, may have been meant.
        others = [entry for entry in entries if is_file(entry.origin) and bare(entry.name) == name != entry.name]
        return exact and [*exact, *others]

    def check_names(self, draft: Draft) -> None:
        """Raise :class:`PluginError` for a name that a plugin in a plugin file has as well: either may be meant.

        Kinds that the draft leaves to their defaults are not checked.
        """
        for kind in (kind for kind in KINDS if kind in draft.model_fields_set):
            self.check_name(kind, draft.plugin(kind))

    def check_name(self, kind: Kind, asked: PluginDraft) -> None:
        """Raise :class:`PluginError` for a name that a plugin in a plugin file has as well."""
        for name in part_names(asked.name, kind=kind):
            meant = self._meant_by(kind, name)
            if len(meant) > 1:
                origins = [entry.origin for entry in meant]
                names = [qualified(entry.origin, bare(entry.name), origins) for entry in meant]
                raise PluginError(
                    f"{len(meant)} {plural(kind)} are called {name!r}",
                    hint=f"say which one is meant: {', '.join(names)}",
                )

    def named(self, draft: Draft) -> Draft:
        """Return the draft with each plugin called by its shortest name, which is the one in the spec."""
        draft = draft.with_default_augmentation(self.find("dataset", draft.dataset.name).augmentation)
        return draft.model_copy(update={kind: self.named_plugin(kind, draft.plugin(kind)) for kind in KINDS})

    def named_plugin(self, kind: Kind, asked: PluginDraft) -> PluginDraft:
        """Return one plugin of a draft by its shortest name; raises :class:`PluginError` with the closest name."""
        name, params = self._joined(kind, split(asked.name, asked.params, kind=kind))
        _, texts = self._joined(kind, split(asked.name, asked.texts, kind=kind))
        return asked.model_copy(update={"name": name, "params": params, "texts": texts})

    def _joined(self, kind: Kind, parts: Iterable[tuple[str, dict[str, Value]]]) -> tuple[str, dict[str, Value]]:
        return join([(self.find(kind, name).name, own) for name, own in parts])

    def of_kind(self, kind: str) -> tuple[Entry, ...]:
        """Return the plugins of one kind, by name."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def origins_of(self, draft: Draft) -> set[str]:
        """Return the origins that a trial needs loaded; raises :class:`PluginError` for an unknown name."""
        draft = draft.with_default_augmentation(self.find("dataset", draft.dataset.name).augmentation)
        return {
            self.find(kind, name).origin for kind in KINDS for name in part_names(draft.plugin(kind).name, kind=kind)
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Catalog:
        """Return the catalog that :meth:`to_json` described; raises errors of any type for other data."""
        return cls(
            entries=tuple(map(Entry.from_json, data["entries"])),
            broken=tuple(Broken(**item) for item in data["broken"]),
            listeners=tuple(data["listeners"]),
            commands=tuple(data["commands"]),
        )


def _path_of(paths: Sequence[str]) -> Path:
    return cache_folder() / "catalog" / f"{_fingerprint(find_sources(paths))}.json"


def _fingerprint(sources: Iterable[Source]) -> str:
    """Return a digest of what the catalog depends on, as far as file times tell."""
    packaged: list[object] = []
    packages: set[str] = set()
    paths = set(Path(__file__).parent.glob("*.py"))
    for source in sources:
        if isinstance(source, Packaged):
            packaged.append((source.origin, source.version, source.entry_point.value))
            packages.add(source.entry_point.module.partition(".")[0])
        else:
            paths.update(loose_source_files(source.path))
    paths.update(path for package in packages for path in _python_files(package))
    # Installing a package changes the folder of site-packages, and may mend a broken plugin.
    paths.update(Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages")))
    order = [source.origin for source in sources]
    disabled = sorted(disabled_names())
    facts = json.dumps([sys.version, sys.prefix, order, disabled, packaged, sorted(map(_stamp, paths))])
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _python_files(package: str) -> Iterator[Path]:
    """Yield all Python files of a package, or of a single module."""
    for path in package_paths(package):
        if path.is_dir():
            yield from path.rglob("*.py")
        else:
            yield path


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), status.st_mtime_ns, status.st_size)


def _read_kept(path: Path) -> Catalog | None:
    try:
        catalog = Catalog.from_json(json.loads(path.read_bytes()))
        with suppress(OSError):  # a cache that may only be read
            os.utime(path)  # what is used is kept
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    else:
        return catalog


def _keep(catalog: Catalog, path: Path) -> None:
    """Write the catalog to the cache. If it cannot be written, the next call builds it again."""
    try:
        write_atomically(path, json.dumps(catalog.to_json()))
        kept = sorted(path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in kept[KEPT_CATALOGS:]:
            old.unlink(missing_ok=True)
    except OSError:
        return


def _build(files: Sequence[str]) -> Catalog:
    """Build the catalog in another process. If a plugin ends that process, build it again without the plugin."""
    crashed: list[Broken] = []
    while True:
        answer = _ask(files, without=[item.origin for item in crashed])
        if isinstance(answer, Catalog):
            return replace(answer, broken=(*answer.broken, *crashed))
        crashed.append(answer)


def _ask(files: Sequence[str], *, without: Sequence[str]) -> Catalog | Broken:
    done = ask("benchbench.plugin.catalog", json.dumps({"files": list(files), "without": list(without)}).encode())
    last = json.loads(done.answers[-1]) if done.answers else {}
    if "catalog" in last:
        return Catalog.from_json(last["catalog"])
    if "loading" not in last:
        raise PluginError(f"cannot look for plugins: the process that loads them {done.death}", hint="bench doctor")
    return Broken(last["loading"], f"ends Python while it loads ({exit_reason(done.code)})", raised=True)


def _respond(request: bytes, send: Callable[[bytes], None]) -> None:
    """Load the plugins and send their descriptions. Each is announced first, since it may end this process."""
    from benchbench.plugin.registry import Registry

    asked = json.loads(request)

    def announced() -> Iterator[Source]:
        for source in find_sources(asked["files"]):
            if source.origin not in asked["without"]:
                send(json.dumps({"loading": source.origin}).encode())
                yield source

    registry = Registry.of(announced())
    send(json.dumps({"loaded": True}).encode())
    send(json.dumps({"catalog": _catalog_of(registry).to_json()}).encode())


def _catalog_of(registry: Registry) -> Catalog:
    broken = list(registry.broken)
    entries = []
    for key, cls in registry.plugins.items():
        try:
            entries.append(replace(describe(cls, registry.origins[key]), name=key[1]))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's class makes of being looked at
            reason = f"{' '.join(key)} cannot be described: {error!r}"
            broken.append(Broken(registry.origins[key], reason, raised=True))
    return Catalog(
        entries=tuple(sorted(entries, key=lambda entry: (entry.kind, entry.name))),
        broken=tuple(broken),
        listeners=tuple(origin for origin, _ in registry.listeners),
        commands=tuple(origin for origin, _ in registry.commands),
    )


if __name__ == "__main__":
    serve(_respond)
