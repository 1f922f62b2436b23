"""Plugins checked in a process of their own, by name, file, folder or package."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.data.locations import DataPaths
from benchbench.errors import PluginError, closest
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import Packaged, find_sources, package_paths
from benchbench.plugin.names import bare, is_file, is_qualified
from benchbench.processes import ask
from benchbench.protocol.plugin_check_messages import CheckedImages, CheckOutcome, CheckRequest, Progress, Report
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Selection:
    """What one word of the user means: modules by their origins, and the plugins in them if not all are meant."""

    origins: tuple[str, ...]
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def check_plugins(
    words: Iterable[str],
    *,
    files: Iterable[str] = (),
    data: Mapping[str, Path] | None = None,
    images: CheckedImages | None = None,
    on_checking: Callable[[str], None] = lambda _: None,
) -> tuple[Report, ...]:
    """Return a report of each module and plugin that is meant: names, packages, files, or folders of either.

    ``files`` are plugin files in which names are looked for too. ``images`` are those that models get. Raises
    :class:`~benchbench.errors.PluginError` for a word that means nothing.
    """
    selections = [select(word, tuple(files)) for word in words]
    _check_data(data or {}, selections, tuple(files))
    reports: list[Report] = []
    for selection in selections:
        named = {name: str(path) for name, path in (data or {}).items()}
        request = CheckRequest(
            origins=selection.origins,
            files=selection.files,
            names=selection.names,
            data=named,
            images=images or CheckedImages(),
        )
        reports += [report for report in _check(request, on_checking) if report not in reports]
    return tuple(reports)


def _check_data(data: Mapping[str, Path], selections: Sequence[Selection], files: Sequence[str]) -> None:
    """Raise :class:`~benchbench.errors.SpecError` for a path whose dataset does not exist or is not checked."""
    if not data:
        return
    catalog = Catalog.read(dict.fromkeys([*files, *(file for selection in selections for file in selection.files)]))
    datasets = catalog.of_kind("dataset")
    checked = {_resolved(origin) for selection in selections for origin in selection.origins}
    known = {name for entry in datasets for name in (entry.name, bare(entry.name))}
    used = {bare(entry.name) for entry in datasets if _resolved(entry.origin) in checked}
    DataPaths.of(data, known=known, used=used)


def _resolved(origin: str) -> str:
    """Return the same text for every way to write the path of a file; a package as it is."""
    return str(Path(origin).resolve()) if is_file(origin) else origin


def select(word: str, files: tuple[str, ...] = ()) -> Selection:
    """Return what a word means: a path if it looks like one or exists, else a plugin, an origin or a package."""
    path = Path(word)
    if path.suffix == ".py" or (os.sep in word and ".py:" not in word):
        return _select_path(path)
    catalog = Catalog.read(files)
    entries = [entry for entry in catalog.entries if entry.name == word] or [
        entry for entry in catalog.entries if is_qualified(word, entry.origin, bare(entry.name))
    ]
    if entries:
        return Selection(tuple(dict.fromkeys(entry.origin for entry in entries)), files, (bare(word),))
    sources = find_sources(files)
    origins = tuple(source.origin for source in sources if word in source.names)
    if not origins and path.is_dir():
        return _select_path(path)
    if not origins:
        known = {entry.name for entry in catalog.entries}.union(*(source.names for source in sources))
        hint = closest(word, known) or "bench list shows all plugins"
        raise PluginError(
            f"no plugin or package is called {word!r}", hint=f"{hint}  a file or folder of your own: ./{word}"
        )
    return Selection(origins, files)


def _select_path(path: Path) -> Selection:
    distribution = _distribution_in(path)
    if distribution:
        return _select_package(path, distribution)
    packaged = {source.origin for source in find_sources()}
    origins = tuple(source.origin for source in find_sources([path]) if source.origin not in packaged)
    if not origins:
        raise PluginError(
            f"there is nothing to check in {path}",
            hint="plugins are in files *.py that do not begin with _; a package is checked by its name",
        )
    return Selection(origins, (str(path),))


def _distribution_in(folder: Path) -> str:
    """Return the name of the package whose source is in a folder, or "": tools keep settings in pyproject.toml too."""
    file = folder / "pyproject.toml"
    if not file.exists():
        return ""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{file} does not name a package: {error}") from None
    return str(tables.get("project", {}).get("name", ""))


def _select_package(folder: Path, distribution: str) -> Selection:
    """Return the plugins of an installed package whose source is in ``folder``."""
    sources = [source for source in find_sources() if isinstance(source, Packaged)]
    ours = [source for source in sources if _normal(source.distribution) == _normal(distribution)]
    if not ours:
        raise PluginError(
            f"the package {distribution} is not installed, or has no entry point in the group benchbench",
            hint=f"pip install -e {folder}",
        )
    for source in ours:
        _check_location(source, folder)
    return Selection(tuple(source.origin for source in ours))


def _check_location(source: Packaged, folder: Path) -> None:
    """Raise :class:`~benchbench.errors.PluginError` if a plugin would be imported from another copy of its package."""
    paths = [Path(path).resolve() for path in package_paths(source.entry_point.module.partition(".")[0])]
    if paths and not any(_is_source_in(folder.resolve(), path) for path in paths):
        raise PluginError(
            f"the package {source.distribution} is imported from {paths[0]}, not from {folder}",
            hint=f"pip install -e {folder}",
        )


def _is_source_in(folder: Path, path: Path) -> bool:
    """Tell whether a path is in a folder, but not in a virtual environment there, which has copies."""
    return path.is_relative_to(folder) and "site-packages" not in path.relative_to(folder).parts


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _check(request: CheckRequest, on_checking: Callable[[str], None]) -> list[Report]:
    """Return the reports of the process that carries out a request, in the order in which it began them."""
    reports: dict[tuple[str, str], Report] = {}
    checking, is_done = "", False

    def follow(answer: bytes) -> None:
        nonlocal checking, is_done
        progress: Progress = json_adapter(Progress).validate_json(answer)
        if progress.checking:
            checking = progress.checking
            on_checking(checking)
        if progress.report is not None:
            _add(reports, progress.report)
        is_done = progress.is_done

    done = ask("benchbench.testing.main", json_adapter(CheckRequest).dump_json(request), on_answer=follow)
    if not is_done:
        problem = f"the process that checks {checking or 'it'} {done.death}"
        outcome = CheckOutcome("ends nothing", "failed", problem, "never end Python, nor crash it")
        _add(reports, Report(checking or "process", "", (outcome,)))
    return list(reports.values())


def _add(reports: dict[tuple[str, str], Report], report: Report) -> None:
    key = (report.subject, report.origin)
    before = reports[key].outcomes if key in reports else ()
    reports[key] = replace(report, outcomes=(*before, *report.outcomes))
