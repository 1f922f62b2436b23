"""Comparisons as tables: texts to read, and one flat row per number for CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.compare import formatting
from benchbench.compare.metric_values import Metric
from benchbench.compare.text_tables import TextTable
from benchbench.config.differences import value_text
from benchbench.records.metric_names import TEST_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchbench.compare.cells import Cell
    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.groups import ComparedGroup
    from benchbench.compare.intervals import Interval
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
    numbers = ("ours", "theirs", f"{formatting.percent(confidence)} of one new run")
    columns = ("of", "metric", *numbers, "", "source")
    texts = tuple(
        (
            row.name,
            row.metric.name,
            " ".join(filter(None, (formatting.mean(row.ours, row.metric), formatting.statuses(row.statuses)))),
            formatting.number(row.theirs, row.metric),
            formatting.interval(row.prediction, row.metric),
            formatting.judgement(row),
            row.source,
        )
        for row in rows
    )
    judged = [row for row in rows if row.judgement != "not judged"]
    outside = sum(row.judgement == "differs" for row in judged)
    by_chance = (1 - confidence) * len(judged)
    below = (
        "accuracies in %; ± standard deviation",
        f"{outside} of {len(judged)} differ; {by_chance:.1f} are expected to differ by chance",
    )
    return TextTable("against published numbers", columns, texts, below, numbers)


def population_table(compared: PopulationComparison) -> TextTable:
    """Return the verdicts on images like the test images."""
    columns = (
        "configuration",
        f"difference [{formatting.percent(compared.confidence)}]",
        "seeds",
        "variance of seeds",
        "verdict",
    )
    accuracy = Metric.named(TEST_ACCURACY)
    texts = tuple(
        (
            row.name,
            "" if row.estimate is None else formatting.change(row.estimate, row.interval, accuracy),
            f"{row.n[0]} pairs" if row.is_paired else f"{row.n[0]} and {row.n[1]}",
            "" if row.seed_fraction is None else f"{row.seed_fraction:.0%}",
            row.words,
        )
        for row in compared.rows
    )
    num_images = f"{max((row.num_images for row in compared.rows), default=0)} test images"
    below = f"verdicts are about new seeds and new images; {num_images}, seeds and images as crossed random effects"
    title = f"test_accuracy on images like these (difference from {compared.baseline} in points)"
    return TextTable(title, columns, texts, (below,), ("variance of seeds",))


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
    confidence = formatting.percent(comparison.confidence)
    has_unfinished = any(formatting.statuses(row.statuses) for row in comparison.rows)
    change = "ratio" if metric.is_ratio else "difference"
    numbers = ("mean ± std (n)", f"{confidence} of the mean")
    columns = (
        *(comparison.by or ("configuration",)),
        *numbers,
        f"{change} [{confidence}]",
        "test",
        *(("not finished",) if has_unfinished else ()),
        "verdict",
    )
    rows = tuple(
        _texts(row, row.cells[metric.name], metric, comparison.by, has_unfinished=has_unfinished)
        for row in comparison.rows
    )
    return TextTable(formatting.title(metric), columns, rows, (formatting.caption(comparison, metric),), numbers)


def _learning_table(comparison: Comparison) -> TextTable:
    confidence = formatting.percent(comparison.confidence)
    numbers = ("learned", f"{confidence} of the fraction")
    columns = (*(comparison.by or ("configuration",)), *numbers, "others", "verdict")
    rows = tuple(
        (
            *_names(row, comparison.by),
            f"{row.learning.num_learned} of {row.learning.num_ended}",
            formatting.fractions(row.learning.interval),
            formatting.statuses(row.learning.others),
            row.learning.verdict,
        )
        for row in comparison.rows
    )
    units = "trials" if comparison.pooled else "seeds"
    below = f"{units} that finished and are better than guessing (%); Wilson's intervals, Fisher's exact test"
    return TextTable(f"{units} that learned", columns, rows, (below,), numbers)


def _names(row: Row, by: Sequence[str]) -> list[str]:
    names = [value_text(row.where[key]) if key in row.where else "" for key in by] or ["all"]
    names[0] += " *" if row.is_best else ""
    return names


def _texts(row: Row, cell: Cell, metric: Metric, by: Sequence[str], *, has_unfinished: bool) -> tuple[str, ...]:
    return (
        *_names(row, by),
        formatting.value(cell, metric),
        formatting.interval(cell.summary.interval, metric) if cell.limit is None else "",
        formatting.difference(cell.contrast, metric),
        formatting.test(cell.contrast),
        *((formatting.statuses(row.statuses),) if has_unfinished else ()),
        cell.verdict.words,
    )


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }
