"""The facts of each trial, to compare any two, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.config.kinds import KINDS, OPTIONS
from benchbench.config.spec import Draft, scalars_of
from benchbench.config.values import value_text
from benchbench.data.locations import data_folder
from benchbench.records import file_names
from benchbench.records.machine import one_after_another
from benchbench.report.kept_files import damage_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchbench.records.record import Record

Facts = dict[str, str]
_MACHINE = ("hostname", "system", "processor", "num_cores", "memory_bytes", "device", "device_name", "num_threads")
_RARELY_SET = ("ema_decay", "select")
"""Settings that are left out of a command if they have their default."""


def trial_facts_of(record: Record, artifacts: Path) -> Facts:
    """Return, by their names, the spec, the images, the code, the machine and all that was installed there."""
    return dict(_facts(record, artifacts))


def differing(facts: Sequence[Facts]) -> tuple[str, ...]:
    """Return the names of what is not the same for all trials."""
    names = dict.fromkeys(name for trial_facts in facts for name in trial_facts)
    return tuple(name for name in names if len({trial_facts.get(name) for trial_facts in facts}) > 1)


def common(facts: Sequence[Facts]) -> Facts:
    """Return what is the same for all trials, but for the installed packages."""
    varied = set(differing(facts))
    return {name: value for name, value in facts[0].items() if name not in varied and not name.startswith("installed ")}


def run_command(record: Record, artifacts: Path) -> str:
    """Return the ``bench run`` that repeats a trial, every parameter and nearly every setting written out."""
    spec = record.spec
    kept = _kept_spec(artifacts)
    names = {kind: _name_in(kept.get(kind)) or spec.plugin(kind).name for kind in KINDS}
    words = ["bench", "run", names["model"], names["dataset"]]
    for kind, option in OPTIONS.items():
        words += [option, names[kind]]
    for kind in KINDS:
        for key, value in spec.plugin(kind).params.items():
            words += ["--set", f"{kind}.{key}={value if isinstance(value, str) else value_text(value)}"]
    for name, value in scalars_of(spec).items():
        if name not in _RARELY_SET or value != Draft.model_fields[name].default:
            words += [f"--{name.replace('_', '-')}", value_text(value)]
    if folder := images_folder(record):
        words += ["--data", folder]
    for path in kept.get("plugins", []):
        words += ["--plugins", path]
    return shlex.join(words)


def images_folder(record: Record) -> str:
    """Return the file or folder of a trial's images; an empty text for downloads, and for what is not known."""
    path, downloads = Path(record.data.source), data_folder().parts[-3:]
    # Those of other users and machines are called the same.
    is_download = any(folder.parts[-3:] == downloads for folder in path.parents)
    return str(path) if path.is_absolute() and not is_download else ""


def plugin_files(artifacts: Path) -> list[str]:
    """Return the paths of the plugin files that a trial was run with, as its ``spec.toml`` has them."""
    paths: list[str] = _kept_spec(artifacts).get("plugins", [])
    return paths


def _kept_spec(artifacts: Path) -> dict[str, Any]:
    path = artifacts / file_names.SPEC
    if not path.exists():
        return {}
    with damage_named(path):
        return tomllib.loads(path.read_text(encoding="utf-8"))


def _name_in(plugin: object) -> str | None:
    """Return the name of a single plugin in a ``spec.toml``, which may say where the plugin is from."""
    return plugin.get("name") if isinstance(plugin, dict) else None


def _facts(record: Record, artifacts: Path) -> Iterator[tuple[str, str]]:
    for key, value in record.spec.flat().items():
        yield key, value_text(value)
    yield "images", record.data_digest
    yield "images from", record.data.source
    yield "parameters of the network", f"{record.num_parameters:,}"
    for name in _MACHINE:
        yield name.replace("_", " "), one_after_another(getattr(machine, name) for machine in record.machines)
    yield "git commit", one_after_another(machine.git_commit or "none" for machine in record.machines)
    for name in dict.fromkeys(name for machine in record.machines for name in machine.versions):
        versions = (machine.versions.get(name, "none") for machine in record.machines)
        yield f"version of {name}", one_after_another(versions)
    yield from _named("acceleration:", record.acceleration)
    yield from _named("origin of", record.plugin_origins)
    yield from _named("source of", record.plugin_sources)
    if record.notes:
        yield "notes", "; ".join(record.notes)
    for package in _installed(artifacts):
        name, _, version = package.partition("==")
        yield f"installed {name}", version


def _named(prefix: str, table: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        yield f"{prefix} {name}", value


def _installed(artifacts: Path) -> list[str]:
    path = artifacts / file_names.ENVIRONMENT
    if not path.exists():
        return []
    with damage_named(path):
        packages: list[str] = json.loads(path.read_text(encoding="utf-8")).get("installed", [])
    return packages
