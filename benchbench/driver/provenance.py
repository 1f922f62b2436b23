"""The files that say how a trial was made, so that it can be repeated and trusted."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.kinds import KINDS
from benchbench.paths import write_atomically
from benchbench.plugin.names import is_file, qualified
from benchbench.records import file_names
from benchbench.records.redaction import without_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.config.kinds import Kind
    from benchbench.records.journal import Journal
    from benchbench.records.machine import Machine
    from benchbench.records.record import Record

_OF_PACKAGES = ("site-packages", "dist-packages")


def write_provenance(journal: Journal) -> None:
    """Write ``spec.toml``, ``environment.json`` and ``record.json`` among the artifacts of a trial that has ended.

    ``bench run --spec spec.toml`` repeats the trial.
    """
    write_record(journal)
    _write(journal, file_names.ENVIRONMENT, environment(journal.record().machine))


def write_record(journal: Journal) -> None:
    """Write ``spec.toml`` and ``record.json`` among the artifacts of a trial that has ended, anywhere."""
    record = journal.record()
    started = next(iter(journal.events()))
    plugins = getattr(started, "plugin_files", ())
    # With plugin files, a name may be that of several plugins.
    named = [kind for kind in KINDS if plugins and kind in record.plugin_origins]
    names = {kind: _qualified(record, kind, plugins) for kind in named}
    _write(journal, file_names.SPEC, record.spec.to_toml(plugins=plugins, names=names))
    _write(journal, file_names.RECORD, record.to_json() + "\n")


def _write(journal: Journal, name: str, text: str) -> None:
    write_atomically(journal.artifacts / name, without_credentials(text))


def _qualified(record: Record, kind: Kind, plugins: Sequence[str]) -> str:
    name, origin = record.spec.plugin(kind).name, record.plugin_origins[kind]
    # Of a folder only the file that is called the same could be taken for it.
    files = [str(Path(path) if path.endswith(".py") else Path(path, Path(origin).name)) for path in plugins]
    return name if ":" in name else qualified(origin, name, files if is_file(origin) else ())


def environment(machine: Machine) -> str:
    """Return, as JSON, the machine and everything that is installed here, as ``name==version``."""
    return json.dumps(asdict(machine) | {"installed": _installed(_folders())}, indent=2) + "\n"


def _folders() -> tuple[tuple[str, int], ...]:
    """Return the folders that packages are installed in, and when something was last added to each or removed."""
    return tuple((folder, _changed_ns(folder)) for folder in sys.path if folder.endswith(_OF_PACKAGES))


def _changed_ns(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:  # not there, or not to be looked at
        return 0


@functools.lru_cache(maxsize=1)  # 0.3 s, for each trial of a grid
def _installed(folders: tuple[tuple[str, int], ...]) -> list[str]:  # noqa: ARG001 - in a notebook, pip changes them
    packages = {
        f"{package.metadata['Name']}=={package.version}"
        for package in importlib.metadata.distributions()
        if package.metadata["Name"]
    }
    return sorted(packages, key=str.lower)
