"""``bench doctor``: what this machine has, and which parts of it do not work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from benchbench.cli import options
from benchbench.errors import counted
from benchbench.plugin.names import is_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.driver.doctor import Diagnosis


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", short_help="Check versions, devices, store and data.")(doctor)


def doctor(
    *,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Check versions, devices, cores, the tracking store, plugins and data.

    If the folder was moved or copied, also update the file addresses in MLflow's database.

    Exits with 1 if there are problems.
    """
    from benchbench.cli.output import print_json, print_lines
    from benchbench.driver.doctor import examine_and_repair

    diagnosis = examine_and_repair(plugins or ())
    if as_json:
        print_json(asdict(diagnosis))
    else:
        print_lines(describe(diagnosis), "table")
    if diagnosis.problems:
        raise typer.Exit(1)


def describe(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the diagnosis as lines of text."""
    yield "versions   " + ", ".join(f"{name} {version}" for name, version in diagnosis.versions.items())
    threads = f", {counted(diagnosis.threads, 'thread')} for torch" if diagnosis.threads else ""
    yield f"processor  {diagnosis.processor}, {diagnosis.cores} cores{threads}"
    if diagnosis.cores and diagnosis.load > diagnosis.cores:
        yield (
            f"load       {diagnosis.load:.1f}, more than the processor has cores: other processes slow training down"
            " (docs/settings.md, On a shared machine)"
        )
    for device in diagnosis.devices:
        name = f" ({device.name})" if device.name else ""
        yield f"device     {device.device}{name}: {', '.join(device.precisions)}"
    yield f"tracking   {diagnosis.tracking_store or 'cannot be used, see below'}"
    yield f"cache      {diagnosis.cache}"
    yield from _plugins(diagnosis)
    yield from _data(diagnosis)
    for mended in diagnosis.mended:
        yield f"fixed      {mended}"
    for problem in diagnosis.problems:
        yield f"problem    {problem}"
    yield "no problems" if not diagnosis.problems else counted(len(diagnosis.problems), "problem")


def _plugins(diagnosis: Diagnosis) -> Iterator[str]:
    others = {name: origin for name, origin in diagnosis.plugins.items() if not is_shipped(origin)}
    yield f"plugins    {len(diagnosis.plugins) - len(others)} of benchbench (bench list)"
    for name, origin in others.items():
        yield f"plugin     {name}  ({origin})"


def _data(diagnosis: Diagnosis) -> Iterator[str]:
    missing = [name for name, path in diagnosis.data.items() if path is None]
    for name, path in diagnosis.data.items():
        if path is not None:
            yield f"data       {name}: {path}"
    if missing:
        yield f"data       not here: {', '.join(missing)} (bench data fetch NAME)"
