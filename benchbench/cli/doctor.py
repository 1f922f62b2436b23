"""``bench doctor``: what is on this machine, and what of it cannot be used."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli import options
from benchbench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEVICES = """
import json, torch
import benchbench.worker.main, benchbench.worker.trial
from benchbench.worker.accelerate import available_devices, device_name, possible_precisions
devices = [torch.device(name) for name in available_devices()]
print(json.dumps({
    "devices": [{"device": str(d), "name": device_name(d), "precisions": possible_precisions(d)} for d in devices],
    "threads": torch.get_num_threads(),
}))
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", short_help="Check versions, devices, store and data.")(doctor)


def doctor(
    *,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Check versions, devices, cores, the tracking store, plugins and data.

    If the folder was moved or copied, MLflow's database gets the new addresses of the files in it.

    Exits with 1 if something that is here cannot be used.
    """
    from benchbench.cli.output import print_json
    from benchbench.plugin.discovery import loose_files

    findings = examine(loose_files(map(str, plugins or ())))
    if as_json:
        print_json(findings)
    else:
        for line in describe(findings):
            typer.echo(line)
    if findings["problems"]:
        raise typer.Exit(1)


def examine(files: tuple[str, ...]) -> dict[str, Any]:
    """Return everything that ``bench doctor`` knows, as plain data."""
    from benchbench.data.download import is_here
    from benchbench.data.locations import DataPaths
    from benchbench.paths import cache_folder
    from benchbench.plugin.catalog import Catalog
    from benchbench.records import machine
    from benchbench.tracking.store import check_store, follow_moved_files

    problems = []
    store = mended = ""
    try:
        store = check_store()
        mended = follow_moved_files()
    except BenchError as error:
        problems.append(f"tracking store: {error.message}  ({error.hint})")
    devices, reason = _devices()
    if reason:
        problems.append(f"worker: it cannot start: {reason}")
    catalog = Catalog.read(files)
    problems += [f"plugin {broken.origin}: {broken.reason}" for broken in catalog.broken]
    data = {}
    datasets = catalog.of_kind("dataset")
    paths = DataPaths.of({}, known=[entry.name for entry in datasets])
    for entry in datasets:
        if entry.download:
            path = paths.locate(entry.name, entry.download)
            data[entry.name] = str(path) if is_here(path, entry.download) else None
    return {
        "versions": {"python": platform.python_version()} | machine.package_versions(),
        "processor": machine.processor_name(),
        "cores": os.cpu_count(),
        **devices,
        "tracking_store": store,
        "cache": str(cache_folder()),
        "plugins": {f"{entry.kind} {entry.name}": entry.origin for entry in catalog.entries},
        "data": data,
        "mended": [mended] if mended else [],
        "problems": problems,
    }


def describe(findings: dict[str, Any]) -> Iterator[str]:
    """Yield the findings as lines of text."""
    yield "versions   " + ", ".join(f"{name} {version}" for name, version in findings["versions"].items())
    threads = f", {findings['threads']} threads for torch" if findings["threads"] else ""
    yield f"processor  {findings['processor']}, {findings['cores']} cores{threads}"
    for device in findings["devices"]:
        name = f" ({device['name']})" if device["name"] else ""
        yield f"device     {device['device']}{name}: {', '.join(device['precisions'])}"
    yield f"tracking   {findings['tracking_store'] or 'cannot be used, see below'}"
    yield f"cache      {findings['cache']}"
    for name, origin in findings["plugins"].items():
        yield f"plugin     {name}  ({origin})"
    for name, path in findings["data"].items():
        yield f"data       {name}: {path or f'not here; bench data fetch {name}'}"
    for mended in findings["mended"]:
        yield f"mended     {mended}"
    for problem in findings["problems"]:
        yield f"problem    {problem}"
    yield "all is well" if not findings["problems"] else f"{len(findings['problems'])} problem(s)"


def _devices() -> tuple[dict[str, Any], str]:
    """Return the devices and threads, or why no worker can tell: it is asked in a process of its own, with torch."""
    answer = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-P", "-c", _DEVICES], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        return {"devices": [], "threads": 0}, lines[-1] if lines else f"exit code {answer.returncode}"
    devices: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return devices, ""
