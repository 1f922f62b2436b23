"""Comparisons on several datasets as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.comparison_tables import metric_tables
from benchbench.compare.text_tables import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.compare.across_datasets import DatasetComparison
    from benchbench.compare.profiles import Profile

FACTORS = (1.0, 1.1, 1.5, 2.0, 4.0)


def dataset_tables(compared: DatasetComparison) -> list[TextTable]:
    """Return the tables of each dataset, and those over all of them."""
    return [*_tables_by_dataset(compared), *overall_tables(compared)]


def overall_tables(compared: DatasetComparison) -> list[TextTable]:
    """Return the tables over all datasets alone."""
    return [
        _rank_table(compared),
        _aggregate_table(compared),
        *([_profile_table(compared, compared.profiles)] if compared.profiles else []),
    ]


def _tables_by_dataset(compared: DatasetComparison) -> Iterator[TextTable]:
    for dataset, comparison in compared.comparisons.items():
        yield from (replace(table, title=f"{dataset}: {table.title}") for table in metric_tables(comparison))


def _rank_table(compared: DatasetComparison) -> TextTable:
    ranks, baseline = compared.ranks, compared.configurations.index(compared.baseline)
    rows = tuple(
        (name, f"{rank:.2f}", _rank_verdict(compared, number, baseline))
        for number, (name, rank) in enumerate(zip(compared.configurations, ranks.average, strict=True))
    )
    friedman = formatting.p_value(ranks.p_value, ranks.level)
    note = (
        f"{ranks.num_datasets} datasets, 1 is best; all equal: {friedman} (Friedman);"
        f" critical difference {ranks.critical_difference:.2f} (Nemenyi), if p < {ranks.level:.2g}"
    )
    left_out = (f"left out, not on every dataset: {'; '.join(compared.missing)}",) if compared.missing else ()
    differing = ", ".join(compared.differing)
    warnings = (
        *compared.warnings,
        *((f"trials of one name differ between datasets in {differing}",) if differing else ()),
    )
    columns = ("configuration", "average rank", "verdict")
    title = f"ranks by {compared.metric.name}"
    below = (note, *left_out, *(f"warning: {text}" for text in warnings))
    return TextTable(title, columns, rows, below=below, numbers=("average rank",))


def _rank_verdict(compared: DatasetComparison, number: int, baseline: int) -> str:
    if number == baseline:
        return "baseline"
    ranks = compared.ranks
    if not ranks.differ(number, baseline):
        return "not distinguishable"
    return "better" if ranks.average[number] < ranks.average[baseline] else "worse"


def _aggregate_table(compared: DatasetComparison) -> TextTable:
    metric, confidence = compared.metric, formatting.percent(next(iter(compared.comparisons.values())).confidence)
    rows = tuple(
        (
            name,
            formatting.number(each.interquartile_mean, metric),
            formatting.interval(each.interval, metric),
            "" if each.improvement is None else f"{formatting.PERCENT * each.improvement:.0f}",
            formatting.fractions(each.improvement_interval),
        )
        for name, each in zip(compared.configurations, compared.aggregates, strict=True)
    )
    numbers = ("interquartile mean", confidence, "better than the baseline (%)", confidence)
    below = "all seeds of all datasets; stratified bootstrap over seeds, whose intervals are too short for few seeds"
    title = f"{metric.name} over all datasets ({formatting.unit(metric)})"
    return TextTable(title, ("configuration", *numbers), rows, below=(below,), numbers=numbers)


def _profile_table(compared: DatasetComparison, profiles: tuple[Profile, ...]) -> TextTable:
    numbers = (*(f"within {factor:g}x" for factor in FACTORS), "score")
    rows = tuple(
        (
            name,
            *(f"{formatting.PERCENT * profile.fraction_within(factor):.0f}" for factor in FACTORS),
            f"{profile.score:.3f}",
        )
        for name, profile in zip(compared.configurations, profiles, strict=True)
    )
    below = "% of targets reached within a factor of the fastest configuration's time; score: area under the profile"
    title = "performance profiles over targets"
    return TextTable(title, ("configuration", *numbers), rows, below=(below,), numbers=numbers)
