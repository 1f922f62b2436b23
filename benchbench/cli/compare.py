"""``bench compare``: whether a difference between configurations is larger than the noise between seeds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchbench.compare import Comparison, DatasetComparison, ModelComparison
    from benchbench.compare.groups import ComparedGroup
    from benchbench.driver.compare import Published

FORMAT = 1
"""Of the JSON; raised when a key changes its meaning."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", short_help="Show which differences are real.")(compare)


def compare(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    experiment: options.Results = DEFAULT_EXPERIMENT,
    by: options.By = None,
    metrics: options.Metrics = None,
    baseline: options.Baseline = None,
    targets: options.Targets = None,
    confidence: options.Confidence = None,
    margin: options.Margin = None,
    grid: options.StudyFile = None,
    expected: Annotated[
        bool, typer.Option("--expected", help="Compare with the published results in the --grid file instead.")
    ] = False,
    population: options.Population = False,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="Compare on each of several datasets, and over all of them.")
    ] = False,
    models: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--models",
            metavar="RUN RUN",
            show_default=False,
            help="Compare two trained models instead, by their predictions for each test image.",
        ),
    ] = None,
    form: Annotated[
        Literal["table", "markdown", "csv", "latex", "json"], typer.Option("--format", help="Format of the output.")
    ] = "table",
    as_json: options.Json = False,
) -> None:
    """Compare an experiment's configurations over their seeds, with differences, intervals and verdicts."""
    if as_json and form not in ("table", "json"):
        raise SpecError(f"--json and --format {form} are both given", hint="--json is --format json")
    form = "json" if as_json else form
    asked = {"--by": by, "--metric": metrics, "--baseline": baseline, "--target": targets, "--margin": margin}
    modes = {"--models": models, "--datasets": datasets, "--expected": expected, "--population": population}
    _check_together({name for name, value in modes.items() if value}, {name for name, value in asked.items() if value})
    question = options.question_of(by, metrics, baseline, targets, confidence, margin)
    from benchbench.cli.output import Notes, next_command
    from benchbench.driver import compare as driver
    from benchbench.driver.transfer import opened_results

    notes = Notes()
    with opened_results(experiment, watcher=notes) as name:
        if models:
            compared = driver.compare_models(*models, experiment=name, grid=grid, confidence=confidence, watcher=notes)
            show_models(compared, models, form)
        elif datasets:
            show_datasets(driver.compare_over_datasets(name, grid=grid, watcher=notes, **question), form)
        elif expected:
            published = driver.compare_with_published(name, grid=grid, confidence=confidence, watcher=notes)
            show_published(published, form)
        else:
            groups = driver.compare_groups(name, grid=grid, population=population, watcher=notes, **question)
            show_groups(groups, form)
            if form == "table":
                typer.echo(f"next: {next_command('report', experiment, grid)}")


def _check_together(modes: set[str], asked: set[str]) -> None:
    """Raise :class:`SpecError` for options of which one would be ignored."""
    if len(modes) > 1:
        raise SpecError(f"{' and '.join(sorted(modes))} are different comparisons", hint="one call for each of them")
    ignored = asked if modes & {"--models", "--expected"} else set()
    if ignored:
        raise SpecError(f"{', '.join(sorted(ignored))} has no effect with {modes.pop()}", hint="leave it out")


def show_groups(groups: Sequence[ComparedGroup], form: str) -> None:
    """Print the comparison of each group, below its heading if there are several.

    CSV has rows alone: warnings, and why a group is not compared, are on standard error.
    """
    from benchbench.cli.output import Notes, print_csv, print_heading, print_json, print_lines

    if form == "json":
        print_json({"format": FORMAT, "groups": [_plain(group) for group in groups]})
    elif form == "csv":
        print_csv([row for group in groups for row in _flat(group, has_heading=len(groups) > 1)])
        notes = Notes()
        for group in groups:
            for text in _without_a_row(group):
                notes.note(text)
    else:
        for number, group in enumerate(groups):
            if group.heading:
                print_heading(group.heading, form, is_first=number == 0)
            if group.comparison:
                _show(group, group.comparison, form)
            else:
                print_lines((f"nothing is compared: {group.obstacle}",), form)


def _without_a_row(group: ComparedGroup) -> Iterator[str]:
    """Yield what CSV has no row for."""
    if group.comparison is None:
        yield f"{group.heading}: nothing is compared: {group.obstacle}"
    else:
        yield from _warning_lines(group.comparison, group.heading)


def _warning_lines(comparison: Comparison, heading: str = "") -> Iterator[str]:
    """Yield the warnings beside a comparison, which name its heading if it is not printed above them."""
    for warning in comparison.warnings:
        yield ": ".join(filter(None, ("warning", heading, warning)))


def _show(group: ComparedGroup, comparison: Comparison, form: str) -> None:
    from benchbench.cli.output import print_tables
    from benchbench.cli.printed_answer import print_answer
    from benchbench.compare.comparison_tables import group_tables

    print_answer(comparison, form)
    print_tables(group_tables(group), (*_warning_lines(comparison), *comparison.facts), form)


def _plain(group: ComparedGroup) -> dict[str, Any]:
    """Return a group as plain data: the keys of its comparison, if there is one."""
    of_group = {"heading": group.heading, "num_trials": len(group.records)}
    if group.comparison is None:
        return of_group | {"obstacle": group.obstacle}
    plain = of_group | asdict(group.comparison)
    if group.over_images:
        rows = [asdict(row) | {"words": row.words} for row in group.over_images.rows]
        plain["over_images"] = asdict(group.over_images) | {"rows": rows}
    return plain


def _flat(group: ComparedGroup, *, has_heading: bool) -> Iterator[dict[str, Any]]:
    from benchbench.compare import comparison_tables

    heading = {"group": group.heading} if has_heading else {}
    if group.comparison:
        for row in (
            *comparison_tables.flat_rows(group.comparison),
            *comparison_tables.flat_population(group.over_images.rows if group.over_images else ()),
        ):
            yield heading | row


def show_datasets(compared: DatasetComparison, form: str) -> None:
    """Print the comparisons by dataset and what holds over all of them; CSV has the rows of each dataset."""
    from benchbench.cli.output import Notes, print_csv, print_json, print_tables
    from benchbench.compare.across_datasets_tables import dataset_tables
    from benchbench.compare.comparison_tables import flat_rows

    warnings = [line for name, each in compared.comparisons.items() for line in _warning_lines(each, name)]
    if form == "json":
        print_json({"format": FORMAT} | asdict(compared))
    elif form == "csv":
        print_csv([{"dataset": name} | row for name, each in compared.comparisons.items() for row in flat_rows(each)])
        notes = Notes()
        for warning in warnings:
            notes.note(warning)
    else:
        print_tables(dataset_tables(compared), warnings, form)


def show_published(published: Published, form: str) -> None:
    """Print ours beside what was published."""
    from benchbench.cli.output import print_csv, print_json, print_tables
    from benchbench.compare import comparison_tables

    if form == "json":
        print_json(
            {"format": FORMAT, "confidence": published.confidence, "rows": [asdict(row) for row in published.rows]}
        )
    elif form == "csv":
        print_csv(comparison_tables.flat_published(published.rows))
    else:
        print_tables([comparison_tables.published_table(published.rows, published.confidence)], (), form)


def show_models(models: ModelComparison, run_ids: Sequence[str], form: str) -> None:
    """Print how two trained models compare."""
    from benchbench.cli.output import print_csv, print_json, print_tables
    from benchbench.compare.comparison_tables import models_table

    flat = asdict(models) | {"accuracies": models.accuracies, "runs": list(run_ids), "verdict": models.verdict}
    if form == "json":
        print_json({"format": FORMAT} | flat)
    elif form == "csv":
        print_csv([flat | {"accuracies": " ".join(map(str, models.accuracies)), "runs": " ".join(run_ids)}])
    else:
        print_tables([models_table(models, run_ids)], (f"McNemar's exact test: {models.verdict}",), form)
