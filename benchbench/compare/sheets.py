"""Comparisons as tables of texts, the same in the terminal, in a paper and in a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare import words
from benchbench.config.differences import value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.comparison import Cell, Comparison, Row
    from benchbench.compare.metrics import Metric
    from benchbench.compare.published import PublishedRow


@dataclass(frozen=True)
class Sheet:
    """A table of texts with a title, and lines of text below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


def of_comparison(comparison: Comparison) -> list[Sheet]:
    """Return a table for each metric, with a row for each configuration and its verdict in the last column."""
    return [_sheet(comparison, metric) for metric in comparison.metrics]


def of_published(rows: Sequence[PublishedRow], confidence: float) -> Sheet:
    """Return ours beside what was published."""
    columns = ("of", "metric", "ours", "theirs", f"{words.percent(confidence)} of one new run", "", "source")
    texts = tuple(
        (
            row.name,
            row.metric.name,
            " ".join(filter(None, (words.mean(row.ours, row.metric), words.statuses(row.statuses)))),
            words.number(row.theirs, row.metric),
            words.interval(row.prediction, row.metric),
            words.judgement(row),
            row.source,
        )
        for row in rows
    )
    judged = [row for row in rows if row.judgement != "not judged"]
    outside = sum(row.judgement == "differs" for row in judged)
    luck = (1 - confidence) * len(judged)
    below = (
        "accuracies in %; ± standard deviation",
        f"{outside} of {len(judged)} differ; about {luck:.1f} would by luck alone, were all the same",
    )
    return Sheet("against published numbers", columns, texts, below)


def _sheet(comparison: Comparison, metric: Metric) -> Sheet:
    confidence = words.percent(comparison.confidence)
    has_unfinished = any(words.statuses(row.statuses) for row in comparison.rows)
    change = "ratio" if metric.is_ratio else "difference"
    columns = (
        *(comparison.by or ("configuration",)),
        "mean ± std (n)",
        f"{confidence} of the mean",
        f"{change} [{confidence}]",
        *(("not finished",) if has_unfinished else ()),
        "verdict",
    )
    rows = tuple(_texts(row, row.cells[metric.name], metric, comparison.by, has_unfinished) for row in comparison.rows)
    return Sheet(words.title(metric), columns, rows, (words.caption(comparison, metric),))


def _texts(row: Row, cell: Cell, metric: Metric, by: Sequence[str], has_unfinished: bool) -> tuple[str, ...]:  # noqa: FBT001
    names = [value_text(row.where[key]) if key in row.where else "" for key in by] or ["all"]
    names[0] += " *" if row.is_best else ""
    return (
        *names,
        words.value(cell, metric),
        words.interval(cell.summary.interval, metric) if cell.limit is None else "",
        words.difference(cell.contrast, metric),
        *((words.statuses(row.statuses),) if has_unfinished else ()),
        cell.verdict.words,
    )
