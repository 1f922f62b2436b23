"""``bench compare``: whether a difference between configurations is larger than the noise between seeds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchbench.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare import Comparison, DatasetComparison, ModelComparison, PopulationRow
    from benchbench.driver.compare import Published

FORMAT = 1
"""Of the JSON; raised when a key changes its meaning."""


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
    margin: options.Margin = None,
    grid: options.StudyFile = None,
    expected: Annotated[
        bool, typer.Option("--expected", help="Compare with the published results in FILE of --grid instead.")
    ] = False,
    population: Annotated[
        bool,
        typer.Option("--population", help="Also compare accuracies on images like the test images, by predictions."),
    ] = False,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="Compare on each of several datasets, and over all of them.")
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
    question = options.question_of(by, metrics, baseline, targets, confidence, margin)
    from benchbench.cli.output import Notes
    from benchbench.driver import compare as driver

    if models:
        compared = driver.compare_models(
            *models, experiment=experiment, grid=grid, confidence=confidence, watcher=Notes()
        )
        show_models(compared, models, form)
    elif datasets:
        show_datasets(driver.compare_over_datasets(experiment, grid=grid, watcher=Notes(), **question), form)
    elif expected:
        published = driver.compare_with_published(experiment, grid=grid, confidence=confidence, watcher=Notes())
        show_published(published, form)
    else:
        comparison = driver.compare(experiment, grid=grid, watcher=Notes(), **question)
        over_images = driver.compare_over_images(experiment, grid=grid, **question) if population else ()
        show_comparison(comparison, over_images, form)


def show_comparison(comparison: Comparison, over_images: Sequence[PopulationRow], form: str) -> None:
    """Print a comparison, in all but the data formats a table for each metric and one for images like these."""
    from benchbench.cli.output import print_csv, print_json, print_lines, print_tables
    from benchbench.compare import comparison_tables
    from benchbench.compare.answer import answer

    if form == "json":
        more = {"over_images": [asdict(row) | {"words": row.words} for row in over_images]} if over_images else {}
        print_json({"format": FORMAT} | asdict(comparison) | more)
    elif form == "csv":
        print_csv([*comparison_tables.flat_rows(comparison), *comparison_tables.flat_population(over_images)])
    else:
        warnings = tuple(f"warning: {warning}" for warning in comparison.warnings)
        print_lines((*answer(comparison), ""), form)
        shown = comparison_tables.of_comparison(comparison)
        shown += [comparison_tables.of_population(over_images, comparison.confidence)] if over_images else []
        print_tables(shown, (*warnings, *comparison.facts), form)


def show_datasets(compared: DatasetComparison, form: str) -> None:
    """Print the comparisons by dataset and what holds over all of them; CSV has the rows of each dataset."""
    from benchbench.cli.output import print_csv, print_json, print_tables
    from benchbench.compare.across_datasets_tables import of_datasets
    from benchbench.compare.comparison_tables import flat_rows

    if form == "json":
        print_json({"format": FORMAT} | asdict(compared))
    elif form == "csv":
        print_csv([{"dataset": name} | row for name, each in compared.comparisons.items() for row in flat_rows(each)])
    else:
        missing = (f"left out, not on every dataset: {'; '.join(compared.missing)}",) if compared.missing else ()
        warnings = (
            f"warning: {name}: {warning}" for name, each in compared.comparisons.items() for warning in each.warnings
        )
        print_tables(of_datasets(compared), (*missing, *warnings), form)


def show_published(published: Published, form: str) -> None:
    """Print ours beside what was published."""
    from benchbench.cli.output import print_csv, print_json, print_tables
    from benchbench.compare import comparison_tables

    if form == "json":
        print_json({"confidence": published.confidence, "rows": [asdict(row) for row in published.rows]})
    elif form == "csv":
        print_csv(comparison_tables.flat_published(published.rows))
    else:
        print_tables([comparison_tables.of_published(published.rows, published.confidence)], (), form)


def show_models(models: ModelComparison, run_ids: Sequence[str], form: str) -> None:
    """Print how two trained models compare."""
    from benchbench.cli.output import print_csv, print_json, print_tables
    from benchbench.compare.comparison_tables import TextTable

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
        both = f"{models.num_images} test images, both correct on {models.both}, both wrong on {models.neither}"
        columns = ("run", "test accuracy", "correct where the other is wrong")
        table = TextTable("two trained models", columns, rows, (both,))
        print_tables([table], (f"McNemar's exact test: {models.verdict}",), form)
