"""Comparisons on standard output: as tables to read, as tables for a paper, and as data."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli.tables import print_table
from benchbench.compare import words
from benchbench.variation import value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchbench.compare import Cell, Comparison, ModelComparison, PublishedRow, Row
    from benchbench.compare.metrics import Metric

FORMAT = 1
"""Of the JSON; raised when a key changes its meaning."""

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
)


@dataclass(frozen=True)
class Sheet:
    """A table of texts with a title, and lines of text below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


def show_comparison(comparison: Comparison, form: str) -> None:
    """Print a comparison, in all but the data formats a table for each metric."""
    if form == "json":
        _print_json({"format": FORMAT} | asdict(comparison))
    elif form == "csv":
        _print_csv(_flat_rows(comparison))
    else:
        sheets = [_sheet(comparison, metric) for metric in comparison.metrics]
        cautions = tuple(f"caution: {caution}" for caution in comparison.cautions)
        _print_sheets(sheets, (*cautions, *comparison.facts), form)


def show_published(rows: Sequence[PublishedRow], confidence: float, form: str) -> None:
    """Print ours beside what was published."""
    if form == "json":
        _print_json({"confidence": confidence, "rows": [asdict(row) for row in rows]})
    elif form == "csv":
        _print_csv(map(_flat_published, rows))
    else:
        judged = [row for row in rows if row.judgement != "not judged"]
        outside = sum(row.judgement == "differs" for row in judged)
        luck = (1 - confidence) * len(judged)
        below = f"{outside} of {len(judged)} differ; about {luck:.1f} would by luck alone, were all the same"
        _print_sheets([_published_sheet(rows, confidence)], (below,), form)


def show_models(found: ModelComparison, run_ids: Sequence[str], form: str) -> None:
    """Print how two trained models compare."""
    flat = asdict(found) | {"accuracies": found.accuracies, "runs": list(run_ids), "verdict": found.verdict}
    if form == "json":
        _print_json(flat)
    elif form == "csv":
        _print_csv([flat | {"accuracies": " ".join(map(str, found.accuracies)), "runs": " ".join(run_ids)}])
    else:
        rows = (
            (run_ids[0], f"{found.accuracies[0]:.1%}", str(found.only_first)),
            (run_ids[1], f"{found.accuracies[1]:.1%}", str(found.only_second)),
        )
        both = f"{found.num_pictures} test pictures, both right on {found.both}, both wrong on {found.neither}"
        sheet = Sheet("two trained models", ("run", "test accuracy", "right where the other is wrong"), rows, (both,))
        _print_sheets([sheet], (f"McNemar's exact test: {found.verdict}",), form)


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


def _published_sheet(rows: Iterable[PublishedRow], confidence: float) -> Sheet:
    columns = ("of", "metric", "ours", "theirs", f"{words.percent(confidence)} of one new run", "", "source")
    texts = tuple(
        (
            row.label,
            row.metric.name,
            " ".join(filter(None, (words.mean(row.ours, row.metric), words.statuses(row.statuses)))),
            words.number(row.theirs, row.metric),
            words.interval(row.prediction, row.metric),
            words.judgement(row),
            row.source,
        )
        for row in rows
    )
    return Sheet("against published numbers", columns, texts, ("accuracies in %; ± standard deviation",))


def _print_sheets(sheets: Iterable[Sheet], below: Sequence[str], form: str) -> None:
    show = {"table": _show, "markdown": _show_markdown, "latex": _show_latex}[form]
    for sheet in sheets:
        show(sheet)
    for line in below:
        typer.echo(f"% {line.translate(_LATEX)}" if form == "latex" else line)


def _show(sheet: Sheet) -> None:
    typer.echo(sheet.title)
    print_table(sheet.columns, sheet.rows, numbers=[name for name in sheet.columns if "mean" in name])
    for line in sheet.below:
        typer.echo(line)
    typer.echo()


def _show_markdown(sheet: Sheet) -> None:
    lines = [sheet.columns, tuple("---" for _ in sheet.columns), *sheet.rows]
    typer.echo(f"**{sheet.title}**\n")
    for line in lines:
        typer.echo(f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('*', chr(92) + '*') for cell in line)} |")
    typer.echo("".join(f"\n{line}\n" for line in sheet.below))


def _show_latex(sheet: Sheet) -> None:
    caption = " ".join((f"{sheet.title}.", *sheet.below)).translate(_LATEX)
    lines = [" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in (sheet.columns, *sheet.rows)]
    typer.echo(
        "\n".join(
            (
                r"\begin{table}",
                rf"\caption{{{caption}}}",
                rf"\begin{{tabular}}{{{'l' * len(sheet.columns)}}}",
                r"\hline",
                lines[0],
                r"\hline",
                *lines[1:],
                r"\hline",
                r"\end{tabular}",
                r"\end{table}",
            )
        )
    )


def _flat_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield one row for each metric and configuration, in the units of the records."""
    for metric in comparison.metrics:
        for row in comparison.rows:
            cell = row.cells[metric.name]
            change = cell.contrast
            yield {
                "metric": metric.name,
                "unit": metric.unit,
                "configuration": row.label,
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


_STATUSES = ("finished", "failed", "killed", "running")


def _flat_published(row: PublishedRow) -> dict[str, Any]:
    return {
        "configuration": row.label,
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


def _ends(name: str, found: Any) -> dict[str, float | None]:
    return {f"{name}_low": found.low if found else None, f"{name}_high": found.high if found else None}


def _print_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    table = list(rows)
    writer = csv.DictWriter(sys.stdout, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)


def _print_json(data: dict[str, Any]) -> None:
    typer.echo(json.dumps(_plain(data), indent=2))


def _plain(value: Any) -> Any:
    """Return the value with numbers that are not finite as texts, as records have them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
