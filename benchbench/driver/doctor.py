"""What this machine has, and which parts of it do not work."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from typing import TYPE_CHECKING, Any

from benchbench.data.download import is_here
from benchbench.data.locations import DataPaths
from benchbench.errors import BenchError
from benchbench.paths import cache_folder
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files
from benchbench.processes import module_command
from benchbench.records import machine
from benchbench.tracking.store import check_store, follow_moved_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike


def examine(plugin_files: Iterable[str | PathLike[str]] = ()) -> dict[str, Any]:
    """Return what was found, as plain data; ``problems`` are in words, and ``mended`` are those that are gone now."""
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
    catalog = Catalog.read(loose_files(map(str, plugin_files)))
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


def _devices() -> tuple[dict[str, Any], str]:
    """Return the devices and threads, or why no worker can tell: it is asked in a process of its own, with torch."""
    answer = subprocess.run(  # noqa: S603 - our own module
        module_command("benchbench.worker.self_check"), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        lines = answer.stderr.strip().splitlines()
        return {"devices": [], "threads": 0}, lines[-1] if lines else f"exit code {answer.returncode}"
    devices: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return devices, ""
