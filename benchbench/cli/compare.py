"""``bench compare``: whether a difference between configurations is more than luck."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from benchbench.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchbench.compare import Comparison, ModelComparison, PublishedRow
    from benchbench.compare.statistics import Interval
    from benchbench.driver.compare import Published

FORMAT = 1
"""Of the JSON; raised when a key changes its meaning."""

_STATUSES = ("finished", "failed", "killed", "running")


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
    form: Annotated[
        Literal["table", "markdown", "csv", "latex", "json"], typer.Option("--format", help="Of the output.")
    ] = "table",
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Compare the configurations of an experiment over their seeds: differences, intervals, and a verdict for each."""
    form = "json" if as_json else form
    question = options.question_of(by, metrics, baseline, targets, confidence)
    from benchbench.cli.tables import Notes
    from benchbench.driver import compare as driver

    if models:
        found = driver.compare_models(*models, experiment=experiment, grid=grid, confidence=confidence, watcher=Notes())
        show_models(found, models, form)
    elif expected:
        published = driver.compare_with_published(experiment, grid=grid, confidence=confidence, watcher=Notes())
        show_published(published, form)
    else:
        show_comparison(driver.compare(experiment, grid=grid, watcher=Notes(), **question), form)


def show_comparison(comparison: Comparison, form: str) -> None:
    """Print a comparison, in all but the data formats a table for each metric."""
    from benchbench.cli.tables import print_csv, print_json, print_sheets
    from benchbench.compare import sheets

    if form == "json":
        print_json({"format": FORMAT} | asdict(comparison))
    elif form == "csv":
        print_csv(_flat_rows(comparison))
    else:
        warnings = tuple(f"warning: {warning}" for warning in comparison.warnings)
        print_sheets(sheets.of_comparison(comparison), (*warnings, *comparison.facts), form)


def show_published(published: Published, form: str) -> None:
    """Print ours beside what was published."""
    from benchbench.cli.tables import print_csv, print_json, print_sheets
    from benchbench.compare import sheets

    if form == "json":
        print_json({"confidence": published.confidence, "rows": [asdict(row) for row in published.rows]})
    elif form == "csv":
        print_csv(map(_flat_published, published.rows))
    else:
        print_sheets([sheets.of_published(published.rows, published.confidence)], (), form)


def show_models(models: ModelComparison, run_ids: Sequence[str], form: str) -> None:
    """Print how two trained models compare."""
    from benchbench.cli.tables import print_csv, print_json, print_sheets
    from benchbench.compare.sheets import Sheet

    flat = asdict(models) | {"accuracies": models.accuracies, "runs": list(run_ids), "verdict": models.verdict}
    if form == "json":
        print_json(flat)
    elif form == "csv":
        print_csv([flat | {"accuracies": " ".join(map(str, models.accuracies)), "runs": " ".join(run_ids)}])
    else:
        rows = (
            (run_ids[0], f"{models.accuracies[0]:.1%}", str(models.only_first)),
            (run_ids[1], f"{models.accuracies[1]:.1%}", str(models.only_second)),
        )
        both = f"{models.num_images} test images, both right on {models.both}, both wrong on {models.neither}"
        sheet = Sheet("two trained models", ("run", "test accuracy", "right where the other is wrong"), rows, (both,))
        print_sheets([sheet], (f"McNemar's exact test: {models.verdict}",), form)


def _flat_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield one row for each metric and configuration, in the units of the records."""
    for metric in comparison.metrics:
        for row in comparison.rows:
            cell = row.cells[metric.name]
            change = cell.contrast
            yield {
                "metric": metric.name,
                "unit": metric.unit,
                "configuration": row.name,
                **{key: row.where.get(key) for key in comparison.by},
                "is_baseline": row.is_baseline,
                "is_best": row.is_best,
                **{f"num_{status}": row.statuses.get(status, 0) for status in _STATUSES},
                "num_reached": cell.num_reached,
                "mean": cell.summary.mean,
                "std": cell.summary.std,
                **_ends("mean", cell.summary.interval),
                "median": cell.median,
                "change": "ratio" if metric.is_ratio else "difference",
                "estimate": change.estimate if change else None,
                **_ends("estimate", change.interval if change else None),
                "p_value": change.test_p if change else None,
                "corrected_p": cell.verdict.corrected_p,
                "verdict": cell.verdict.kind,
                "words": cell.verdict.words,
            }


def _flat_published(row: PublishedRow) -> dict[str, Any]:
    return {
        "configuration": row.name,
        "metric": row.metric.name,
        "unit": row.metric.unit,
        "n": row.ours.n,
        "mean": row.ours.mean,
        "std": row.ours.std,
        "theirs": row.theirs,
        **_ends("prediction", row.prediction),
        "judgement": row.judgement,
        "why": row.why,
        "source": row.source,
    }


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}
