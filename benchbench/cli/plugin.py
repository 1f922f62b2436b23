"""``bench plugin``: begin a plugin, and check one."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.cli.list import complete_kind, read_kind
from benchbench.config.kinds import KINDS
from benchbench.errors import counted
from benchbench.records.tracebacks import is_debugging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.protocol.plugin_check_messages import Report


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Write your own plugin, and check it.", no_args_is_help=True)
    group.command("new", short_help="Write a working plugin to start from.")(new_plugin)
    group.command("check", short_help="Check plugins, and say how to fix them.")(check_plugin)
    app.add_typer(group, name="plugin")


def new_plugin(
    *,
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS) + ".", autocompletion=complete_kind)],
    name: Annotated[str, typer.Argument(help="What the plugin will be called, such as my-net.")],
    as_file: Annotated[
        bool, typer.Option("--file", help="Write a single file instead of a package with tests.")
    ] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path(),
) -> None:
    """Write a working plugin to start from: a package that pip can install, with tests.

    For example: bench plugin new model my-net
    """
    from benchbench.driver.new_plugin import NewPlugin, new_file, new_package

    kind = read_kind(kind)
    path = (new_file if as_file else new_package)(kind, name, folder)
    plugin = NewPlugin(kind, name)
    typer.echo(f"wrote {path}")
    for line in _steps(path, plugin.use, as_file=as_file):
        typer.echo(f"  {line}")


def _steps(path: Path, use: str, *, as_file: bool) -> tuple[str, ...]:
    """Return the commands to go on with."""
    quoted = shlex.quote(str(path))
    if as_file:
        return (f"bench plugin check {quoted}", f"{use} --plugins {quoted}")
    editable = shlex.quote(f"{path}[test]")
    return (f"pip install -e {editable}", f"pytest {quoted}", f"bench plugin check {quoted}", use)


def check_plugin(
    *,
    words: Annotated[
        list[str], typer.Argument(metavar="NAME|PATH|PACKAGE...", help="Plugins, files, folders or installed packages.")
    ],
    image_size: Annotated[int, typer.Option("--image-size", min=1, help="Side of the images that models get.")] = 64,
    num_channels: Annotated[int, typer.Option("--channels", min=1, help="Channels of the images that models get.")] = 3,
    plugins: options.Plugins = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """Check plugins against the requirements of their kind, and say how to fix each problem.

    Exits with 1 if a check fails.
    """
    from rich.console import Console

    from benchbench.cli.output import print_json, print_lines
    from benchbench.data.locations import parse_data_options
    from benchbench.driver.plugin_check import check_plugins
    from benchbench.plugin.discovery import loose_files
    from benchbench.protocol.plugin_check_messages import CheckedImages

    with Console(stderr=True).status("looking for plugins") as status:
        reports = check_plugins(
            words,
            files=loose_files(map(str, plugins or ())),
            data=parse_data_options(data or ()),
            images=CheckedImages(image_size, num_channels),
            on_checking=lambda subject: status.update(f"checking {subject}"),
        )
    num_failed = sum(report.num_failed for report in reports)
    if as_json:
        print_json({"reports": [asdict(report) for report in reports], "num_failed": num_failed})
    else:
        for report in reports:
            _print_report(report)
        print_lines((_outcome(reports),), "table")
        _print_use(reports)
    if num_failed:
        raise typer.Exit(1)


def _outcome(reports: Sequence[Report]) -> str:
    """Return such as ``2 checks failed: model bad: builds, logits``."""
    failed = [
        f"{report.subject}: {', '.join(item.check for item in report.outcomes if item.result == 'failed')}"
        for report in reports
        if report.num_failed
    ]
    num_failed = sum(report.num_failed for report in reports)
    return f"{counted(num_failed, 'check')} failed: {'; '.join(failed)}" if failed else "all checks passed"


def _print_use(reports: Sequence[Report]) -> None:
    """Print the command that trains with a plugin, if it is the only one and nothing is wrong with it."""
    from benchbench.driver.new_plugin import NewPlugin
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.names import qualified

    plugins = [report for report in reports if report.subject != "module"]
    if len(plugins) != 1 or any(report.num_failed for report in reports):
        return
    kind, _, name = plugins[0].subject.partition(" ")
    file = Path(plugins[0].origin)
    option = ""
    if file.is_file():
        option = f" --plugins {shlex.quote(os.path.relpath(file))}"
        longer = qualified(str(file), name)
        # Another plugin may have the short name.
        name = longer if longer in {entry.name for entry in Catalog.read([file]).of_kind(kind)} else name
    typer.echo(f"next: {NewPlugin(kind, name).use}{option}")


def _print_report(report: Report) -> None:
    from benchbench.cli.output import print_table

    typer.echo(f"{report.subject}  ({report.origin})" if report.origin else report.subject)
    # In a terminal, what is printed last is what is seen.
    outcomes = sorted(report.outcomes, key=lambda outcome: ("skipped", "passed", "failed").index(outcome.result))
    rows = [(item.check, item.result, item.problem or item.note, item.fix) for item in outcomes]
    print_table(("check", "result", "problem", "fix"), rows, unbroken=("check", "result"))
    if is_debugging():
        for outcome in report.outcomes:
            if outcome.traceback:
                typer.echo(f"{report.subject}, {outcome.check}:\n{outcome.traceback}", err=True)
