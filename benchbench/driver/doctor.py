"""What this machine has, and which parts of it do not work."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.data.download import is_here
from benchbench.data.locations import DataPaths
from benchbench.errors import BenchError
from benchbench.paths import cache_folder
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files
from benchbench.processes import ask, exit_reason
from benchbench.records import machine
from benchbench.tracking.store import check_store, follow_moved_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike


@dataclass(frozen=True)
class Device:
    """A device that torch can compute on, and the precisions that it has."""

    device: str
    name: str
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What this machine has; ``problems`` are in words, and ``mended`` are those that are gone now.

    ``plugins`` has the origins of plugins; ``data`` has paths of datasets, or None for those that are not here.
    ``tracking_store`` is empty if it cannot be used, and ``threads`` is 0 if no worker can tell. ``load`` is the
    average number of processes that used a processor or waited for one in the last minute.
    """

    versions: dict[str, str]
    processor: str
    cores: int | None
    load: float
    devices: tuple[Device, ...]
    threads: int
    tracking_store: str
    cache: str
    plugins: dict[str, str]
    data: dict[str, str | None]
    mended: tuple[str, ...]
    problems: tuple[str, ...]


def examine_and_repair(plugin_files: Iterable[str | PathLike[str]] = ()) -> Diagnosis:
    """Examine this machine, and put the addresses of files right that moved with MLflow's database."""
    load = os.getloadavg()[0]  # before the worker adds to it
    problems = []
    store = mended = ""
    try:
        store = check_store()
        mended = follow_moved_files()
    except BenchError as error:
        problems.append(f"tracking store: {error.in_one_line}")
    devices, threads, reason = _ask_worker()
    if reason:
        problems.append(f"worker: it cannot start: {reason}")
    try:
        catalog = Catalog.read(loose_files(map(str, plugin_files)))
    except BenchError as error:
        problems.append(f"plugins: {error.in_one_line}")
        catalog = Catalog.read()
    problems += [f"plugin {broken.origin}: {broken.reason}" for broken in catalog.broken]
    data: dict[str, str | None] = {}
    try:
        data = _downloads(catalog)
    except BenchError as error:
        problems.append(f"data: {error.in_one_line}")
    return Diagnosis(
        versions={"python": platform.python_version()} | machine.package_versions(),
        processor=machine.processor_name(),
        cores=os.cpu_count(),
        load=load,
        devices=devices,
        threads=threads,
        tracking_store=store,
        cache=str(cache_folder()),
        plugins={f"{entry.kind} {entry.name}": entry.origin for entry in catalog.entries},
        data=data,
        mended=(mended,) if mended else (),
        problems=tuple(problems),
    )


def _downloads(catalog: Catalog) -> dict[str, str | None]:
    """Return the path of each dataset that can be downloaded, or None if it is not here."""
    datasets = catalog.of_kind("dataset")
    paths = DataPaths.of({}, known=[entry.name for entry in datasets])
    data: dict[str, str | None] = {}
    for entry in datasets:
        if entry.download:
            path = paths.locate(entry.name, entry.download)
            data[entry.name] = str(path) if is_here(path, entry.download) else None
    return data


def _ask_worker() -> tuple[tuple[Device, ...], int, str]:
    """Return the devices and threads, or why no worker can tell: it is asked in a process of its own, with torch."""
    done = ask("benchbench.worker.device_report")
    if not done.answers:
        return (), 0, done.last_lines[-1] if done.last_lines else exit_reason(done.code)
    told = json.loads(done.answers[0])
    devices = tuple(Device(item["device"], item["name"], tuple(item["precisions"])) for item in told["devices"])
    return devices, told["threads"], ""
