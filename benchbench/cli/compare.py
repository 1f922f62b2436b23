"""``bench compare``: whether a difference between configurations is more than luck."""

from __future__ import annotations

from typing import Annotated

import typer

from benchbench.cli import options
from benchbench.errors import SpecError, closest

FORMATS = ("table", "markdown", "csv", "latex", "json")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    experiment: options.Experiments = "bench",
    by: options.By = None,
    metrics: options.Metrics = None,
    baseline: options.Baseline = None,
    targets: options.Targets = None,
    confidence: options.Confidence = None,
    grid: options.StudyFile = None,
    expected: Annotated[
        bool, typer.Option("--expected", help="Compare with the published results in FILE of --grid instead.")
    ] = False,
    models: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--models",
            metavar="RUN RUN",
            show_default=False,
            help="Compare two trained models instead, by what each says of every test image.",
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")] = "table",
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Compare the configurations of an experiment over their seeds: differences, intervals, and a verdict for each."""
    form = "json" if as_json else _format(form)
    from benchbench.cli import compare_tables
    from benchbench.cli.question import Study, Words, find_models, find_records
    from benchbench.compare import against_published, compare_records

    study = Study.read(grid)
    question = study.question(Words.of(by, metrics, baseline, targets, confidence))
    if expected and not study.expected:
        raise SpecError("no published results to compare with", hint="--grid FILE names a file with [[expected]] rows")
    records = find_records(experiment, study)
    if models:
        compare_tables.show_models(find_models(records, models, confidence=question.confidence), models, form)
    elif expected:
        rows = against_published(records, study.expected, confidence=question.confidence)
        compare_tables.show_published(rows, question.confidence, form)
    else:
        compare_tables.show_comparison(compare_records(records, question), form)


def _format(text: str) -> str:
    if text not in FORMATS:
        raise SpecError(f"--format {text!r}: choose from {', '.join(FORMATS)}", hint=closest(text, FORMATS))
    return text
