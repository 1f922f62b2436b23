"""``bench report``: what an experiment answers, in one HTML file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.records import file_names

if TYPE_CHECKING:
    from benchbench.driver.report import WrittenReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", short_help="Write results into one HTML file.")(report)


def report(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    experiment: options.Results = DEFAULT_EXPERIMENT,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; an existing file is replaced.")
    ] = Path(file_names.REPORT),
    log: Annotated[
        bool,
        typer.Option("--log/--no-log", help="Keep the report with the grid's own run in MLflow, if there is one."),
    ] = True,
    by: options.By = None,
    metrics: options.Metrics = None,
    baseline: options.Baseline = None,
    targets: options.Targets = None,
    confidence: options.Confidence = None,
    margin: options.Margin = None,
    grid: options.StudyFile = None,
    population: options.Population = False,
    as_json: options.Json = False,
) -> None:
    """Write an experiment's results and verdicts into one HTML file that works offline."""
    question = options.question_of(by, metrics, baseline, targets, confidence, margin)
    from benchbench.cli.output import Notes, next_command, print_json
    from benchbench.driver.report import write_experiment_report
    from benchbench.driver.transfer import opened_results

    notes = Notes()
    with opened_results(experiment, watcher=notes) as name:
        # A results file has a store for this call alone, in which there is nothing to keep.
        written = write_experiment_report(
            name, output, log=log and name == experiment, grid=grid, population=population, watcher=notes, **question
        )
    if as_json:
        print_json(written.to_json())
    else:
        show(written)
        is_file = name != experiment
        words = shlex.join(["bench", "import", experiment]) if is_file else next_command("export", experiment, None)
        typer.echo(f"next: {words}")


def show(written: WrittenReport) -> None:
    """Print what was written."""
    typer.echo(f"{written.path}  {written.counts}  {written.path.stat().st_size / 1e6:.1f} MB")
    if written.run_id:
        typer.echo(f"kept as report.html with the grid's run {written.run_id}")
