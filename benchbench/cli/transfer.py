"""``bench export`` and ``bench import``: results in one file, to be taken elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli import options
from benchbench.config import defaults
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import plain


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export", short_help="Write results into one file.")(export)
    app.command("import", short_help="Read exported files in another folder.")(import_)


def export(
    *,
    experiment: options.Experiments = DEFAULT_EXPERIMENT,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = Path(
        "results.bench"
    ),
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="Only this run, and its grid or trials; may be repeated."),
    ] = None,
    artifacts: Annotated[
        defaults.ArtifactLevel,
        typer.Option("--artifacts", help="What to export: records only, all tables, or figures and models too."),
    ] = "light",
    as_json: options.Json = False,
) -> None:
    """Write the trials, grids and timings of an experiment into one file, without paths or credentials."""
    from rich.console import Console

    from benchbench.cli.displays import Display
    from benchbench.cli.output import print_json
    from benchbench.driver.transfer import export_results

    with Display(Console(stderr=True, highlight=False)) as display:
        summary = export_results(output, experiment, runs=runs or (), artifacts=artifacts, watcher=display)
    if as_json:
        print_json({"file": str(output), "bytes": output.stat().st_size, **summary._asdict()})
        return
    for note in summary.notes:
        typer.echo(f"note: {note}", err=True)
    size = output.stat().st_size / 1e6
    typer.echo(
        f"{output}  trials: {summary.num_trials}, grids: {summary.num_grids}, timings: {summary.num_timings}"
        f"  ({size:.2f} MB)"
    )
    typer.echo(f"next: bench import {shlex.quote(str(output))}  (in another folder)")


def import_(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files that bench export wrote.")],
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", help="MLflow experiment.", show_default="the one that the runs come from"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Import exported runs into this folder's store. Existing runs change only if FILE has later results of them."""
    from rich.console import Console

    from benchbench.cli.displays import Display
    from benchbench.cli.output import next_command, print_json
    from benchbench.driver.transfer import import_results
    from benchbench.records import results_file

    results = {}
    experiments = []
    for file in files:
        # Before the first is imported, so that a bad one leaves nothing half done.
        with results_file.read(file) as reader:
            experiments.append(experiment or reader.manifest.experiment)
    with Display(Console(stderr=True, highlight=False)) as display:
        for file in files:
            results[str(file)] = import_results(file, experiment=experiment, watcher=display)
    if as_json:
        print_json({file: result._asdict() for file, result in results.items()})
    for name, result in results.items():
        for clash in result.clashes:
            typer.echo(plain(f"{name}: {clash}"), err=True)
        if not as_json:
            typer.echo(f"{name}  {result.num_new} runs imported, {result.num_existing} already there")
    if not as_json:
        commands = (next_command("compare", name, None) for name in dict.fromkeys(experiments))
        typer.echo("next: " + "\n      ".join(map(plain, commands)))
    raise typer.Exit(int(any(result.clashes for result in results.values())))
