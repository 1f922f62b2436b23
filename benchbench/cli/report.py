"""``bench report``: what an experiment answers, in one HTML file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.errors import SpecError
from benchbench.records import files

if TYPE_CHECKING:
    from benchbench.cli.reporting import Made


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    experiment: options.Experiments = "bench",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; one that is there is replaced.")
    ] = Path(files.REPORT),
    figures: Annotated[
        Path | None,
        typer.Option(
            "--figures", metavar="DIR", show_default=False, help="Write figures for a paper into this folder."
        ),
    ] = None,
    log: Annotated[
        bool,
        typer.Option("--log/--no-log", help="Keep the report with the grid's own run in MLflow, where there is one."),
    ] = True,
    by: options.By = None,
    metrics: options.Metrics = None,
    baseline: options.Baseline = None,
    targets: options.Targets = None,
    confidence: options.Confidence = None,
    grid: options.StudyFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Write what an experiment answers into one HTML file that opens without a network."""
    _check_places(output, figures)
    from benchbench.cli.question import Study, Words, find_records
    from benchbench.cli.reporting import Request, make

    study = Study.read(grid)
    question = study.question(Words.of(by, metrics, baseline, targets, confidence))
    records = find_records(experiment, study)
    request = Request(experiment, study.text, question, study.expected, str(grid or ""), study.name)
    _tell(make(request, records, output, figures=figures, log=log), as_json=as_json)


def _check_places(output: Path, figures: Path | None) -> None:
    """Raise :class:`SpecError` for a place that cannot be written to, before any work is done."""
    if output.is_dir():
        raise SpecError(f"-o {output} is a folder", hint=f"name a file in it, such as {output / 'report.html'}")
    _check_folder(output.parent, "-o")
    if figures is None:
        return
    if figures.exists() and not figures.is_dir():
        raise SpecError(f"--figures {figures} is not a folder", hint="name a folder; it is made where there is none")
    _check_folder(figures if figures.exists() else figures.parent, "--figures")


def _check_folder(folder: Path, option: str) -> None:
    if not folder.is_dir():
        raise SpecError(f"{option}: there is no folder {folder}", hint="make it first, or name another place")
    if not os.access(folder, os.W_OK):
        raise SpecError(f"{option}: the folder {folder} cannot be written to", hint="name another place")


def _tell(made: Made, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(made.to_json(), indent=2))
        return
    typer.echo(f"{made.path}  {made.counts}  {made.path.stat().st_size / 1e6:.1f} MB")
    for path in made.figures:
        typer.echo(path)
    for name, reason in made.left_out.items():
        typer.echo(f"{name} is left out: {reason}", err=True)
    if made.run_id:
        typer.echo(f"kept as report.html with the grid's run {made.run_id}")
