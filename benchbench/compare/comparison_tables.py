"""Comparisons as tables: texts to read, and one flat row per number for CSV."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchbench.compare import formatting
from benchbench.compare.metric_values import Metric
from benchbench.compare.text_tables import Column, TextTable, table_of
from benchbench.config.values import value_text
from benchbench.records.metrics import TEST_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchbench.compare.cells import Cell
    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.groups import ComparedGroup
    from benchbench.compare.intervals import Interval
    from benchbench.compare.mcnemar import ModelComparison
    from benchbench.compare.population import PopulationComparison, PopulationRow
    from benchbench.compare.published import PublishedRow

_STATUSES = ("finished", "failed", "killed", "running")


def metric_tables(comparison: Comparison) -> list[TextTable]:
    """Return a table for each metric, with a row for each configuration and its verdict in the last column.

    If a seed failed or did not learn, a last table says how many of each configuration learned.
    """
    tables = [_metric_table(comparison, metric) for metric in comparison.metrics]
    all_learned = all(row.learning.all_learned for row in comparison.rows)
    return tables if all_learned else [*tables, _learning_table(comparison)]


def group_tables(group: ComparedGroup) -> list[TextTable]:
    """Return the tables of a group's comparison, if there is one, the last on images like the test images."""
    tables = metric_tables(group.comparison) if group.comparison else []
    return [*tables, population_table(group.over_images)] if group.over_images else tables


def published_table(rows: Sequence[PublishedRow], confidence: float) -> TextTable:
    """Return our numbers beside the published ones."""
    columns: list[Column[PublishedRow]] = [
        Column("of", lambda row: row.name),
        Column("metric", lambda row: row.metric.name),
        Column("ours", _ours, is_number=True),
        Column("theirs", lambda row: formatting.number(row.theirs, row.metric), is_number=True),
        Column(
            f"{formatting.percent(confidence)} prediction interval",
            lambda row: formatting.interval(row.prediction, row.metric),
            is_number=True,
        ),
        Column("", formatting.judgement),
        Column("source", lambda row: row.source, gives_way=True),
    ]
    judged = [row for row in rows if row.judgement != "not judged"]
    outside = sum(row.judgement == "differs" for row in judged)
    by_chance = (1 - confidence) * len(judged)
    below = (
        "accuracies in %; ± standard deviation",
        f"{outside} of {len(judged)} differ; {by_chance:.1f} are expected to differ by chance",
    )
    return table_of("against published numbers", columns, rows, below)


def _ours(row: PublishedRow) -> str:
    texts = (formatting.mean(row.ours, row.metric), formatting.statuses(row.statuses))
    return " ".join(filter(None, texts))


def population_table(compared: PopulationComparison) -> TextTable:
    """Return the verdicts on images like the test images."""
    columns: list[Column[PopulationRow]] = [
        Column("configuration", lambda row: row.name),
        Column(f"difference [{formatting.percent(compared.confidence)}]", _population_difference, is_unbroken=True),
        Column("seeds", lambda row: f"{row.n[0]} pairs" if row.is_paired else f"{row.n[0]} and {row.n[1]}"),
        Column("variance of seeds", _seed_variance, is_number=True),
        Column("verdict", lambda row: row.words, gives_way=True),
    ]
    num_images = f"{max((row.num_images for row in compared.rows), default=0)} test images"
    below = f"verdicts are about new seeds and new images; {num_images}, seeds and images as crossed random effects"
    title = f"test_accuracy on images like these (difference from {compared.baseline} in points)"
    return table_of(title, columns, compared.rows, (below,))


def _population_difference(row: PopulationRow) -> str:
    return "" if row.estimate is None else formatting.change(row.estimate, row.interval, Metric.named(TEST_ACCURACY))


def _seed_variance(row: PopulationRow) -> str:
    return "" if row.seed_fraction is None else f"{row.seed_fraction:.0%}"


def flat_population(rows: Iterable[PopulationRow]) -> Iterator[dict[str, Any]]:
    """Yield a row for each configuration, with the columns of :func:`flat_rows` that it has."""
    for row in rows:
        yield {
            "metric": "test_accuracy on images like these",
            "unit": "fraction",
            "configuration": row.name,
            "change": "difference",
            "estimate": row.estimate,
            **_ends("estimate", row.interval),
            "num_tested": row.n[0],
            "num_tested_baseline": row.n[1],
            "p_value": row.p_value,
            "luck_p": row.luck_p,
            "corrected_p": row.corrected_p,
            "verdict": row.kind,
            "words": row.words,
        }


def models_table(models: ModelComparison, run_ids: Sequence[str]) -> TextTable:
    """Return two trained models as a table."""
    rows = (
        (run_ids[0], f"{models.accuracies[0]:.1%}", str(models.only_first)),
        (run_ids[1], f"{models.accuracies[1]:.1%}", str(models.only_second)),
    )
    both = f"{models.num_images} test images, both correct on {models.both}, both wrong on {models.neither}"
    numbers = ("test accuracy", "correct where the other is wrong")
    return TextTable("two trained models", ("run", *numbers), rows, below=(both,), numbers=numbers)


def flat_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric and configuration, in the units of the records."""
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
                "num_learned": row.learning.num_learned,
                "num_ended": row.learning.num_ended,
                "learned_p": row.learning.corrected_p,
                "num_reached": cell.num_reached,
                "mean": cell.summary.mean,
                "std": cell.summary.std,
                **_ends("mean", cell.summary.interval),
                "median": cell.median,
                "change": "ratio" if metric.is_ratio else "difference",
                "estimate": change.estimate if change else None,
                **_ends("estimate", change.interval if change else None),
                "test": change.test if change else None,
                "num_tested": change.n[0] if change else None,
                "num_tested_baseline": change.n[1] if change else None,
                "left_out": "; ".join(change.left_out) if change else None,
                "num_seeds": change.num_seeds if change else None,
                "correlation": change.correlation if change else None,
                "p_value": change.p_value if change else None,
                "luck_p": change.luck_p if change else None,
                "corrected_p": cell.verdict.corrected_p,
                "equivalence_p": cell.verdict.equivalence_p,
                "permutation_p": change.permutation_p if change else None,
                "verdict": cell.verdict.kind,
                "words": cell.verdict.words,
            }


def flat_published(rows: Iterable[PublishedRow]) -> Iterator[dict[str, Any]]:
    """Yield a row for each published number, in the units of the records."""
    for row in rows:
        yield {
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


def _metric_table(comparison: Comparison, metric: Metric) -> TextTable:
    def cell(row: Row) -> Cell:
        return row.cells[metric.name]

    confidence = formatting.percent(comparison.confidence)
    change = f"{'ratio' if metric.is_ratio else 'difference'} [{confidence}]"
    columns: list[Column[Row]] = [
        *_name_columns(comparison.by),
        Column("mean ± std (n)", lambda row: formatting.value(cell(row), metric), is_number=True),
        Column(f"{confidence} of the mean", lambda row: _interval_of_mean(cell(row), metric), is_number=True),
        Column(change, lambda row: formatting.difference(cell(row).contrast, metric), is_unbroken=True),
        Column("test", lambda row: formatting.test(cell(row).contrast), gives_way=True),
        Column("not finished", lambda row: formatting.statuses(row.statuses), left_out_if_empty=True),
        Column("verdict", lambda row: cell(row).verdict.words, gives_way=True),
    ]
    return table_of(formatting.title(metric), columns, comparison.rows, (formatting.caption(comparison, metric),))


def _interval_of_mean(cell: Cell, metric: Metric) -> str:
    """Return the interval of a mean; none if some trials never reached the target."""
    return formatting.interval(cell.summary.interval, metric) if cell.limit is None else ""


def _learning_table(comparison: Comparison) -> TextTable:
    fraction = f"{formatting.percent(comparison.confidence)} of the fraction"
    criterion = comparison.baseline.learning.criterion
    did = "are better than guessing" if criterion == "learned" else "predict more than one class"
    columns: list[Column[Row]] = [
        *_name_columns(comparison.by),
        Column(criterion, lambda row: f"{row.learning.num_learned} of {row.learning.num_ended}", is_number=True),
        Column(fraction, lambda row: formatting.fractions(row.learning.interval), is_number=True),
        Column("others", lambda row: formatting.statuses(row.learning.others)),
        Column("verdict", lambda row: row.learning.verdict, gives_way=True),
    ]
    units = "trials" if comparison.pooled else "seeds"
    below = f"{units} that finished and {did} (%); Wilson's intervals, Fisher's exact test"
    return table_of(f"{units} that {criterion}", columns, comparison.rows, (below,))


def _name_columns(by: Sequence[str]) -> list[Column[Row]]:
    """Return a column for each key that defines the rows; the first marks the best row."""
    columns = [_key_column(key) for key in by]
    first, *others = columns or [Column("configuration", lambda _: "all")]
    return [replace(first, cell=lambda row: f"{first.cell(row)}{' *' if row.is_best else ''}"), *others]


def _key_column(key: str) -> Column[Row]:
    return Column(key, lambda row: value_text(row.where[key]) if key in row.where else "")


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }
