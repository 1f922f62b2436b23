"""``bench doctor``: what this machine has, and which parts of it do not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    from benchbench.cli.output import print_json
    from benchbench.driver.doctor import examine

    findings = examine(plugins or ())
    if as_json:
        print_json(findings)
    else:
        for line in describe(findings):
            typer.echo(line)
    if findings["problems"]:
        raise typer.Exit(1)


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
        yield f"fixed      {mended}"
    for problem in findings["problems"]:
        yield f"problem    {problem}"
    yield "no problems" if not findings["problems"] else f"{len(findings['problems'])} problem(s)"
