"""Comparisons on standard output: as tables to read, as tables for a paper, and as data."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli.tables import print_table
from benchbench.compare import sheets
from benchbench.compare.sheets import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchbench.compare import Comparison, ModelComparison, PublishedRow

FORMAT = 1
"""Of the JSON; raised when a key changes its meaning."""

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
)


def show_comparison(comparison: Comparison, form: str) -> None:
    """Print a comparison, in all but the data formats a table for each metric."""
    if form == "json":
        _print_json({"format": FORMAT} | asdict(comparison))
    elif form == "csv":
        _print_csv(_flat_rows(comparison))
    else:
        warnings = tuple(f"warning: {warning}" for warning in comparison.warnings)
        _print_sheets(sheets.of_comparison(comparison), (*warnings, *comparison.facts), form)


def show_published(rows: Sequence[PublishedRow], confidence: float, form: str) -> None:
    """Print ours beside what was published."""
    if form == "json":
        _print_json({"confidence": confidence, "rows": [asdict(row) for row in rows]})
    elif form == "csv":
        _print_csv(map(_flat_published, rows))
    else:
        _print_sheets([sheets.of_published(rows, confidence)], (), form)


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
        both = f"{found.num_images} test images, both right on {found.both}, both wrong on {found.neither}"
        sheet = Sheet("two trained models", ("run", "test accuracy", "right where the other is wrong"), rows, (both,))
        _print_sheets([sheet], (f"McNemar's exact test: {found.verdict}",), form)


def _print_sheets(tables: Iterable[Sheet], below: Sequence[str], form: str) -> None:
    show = {"table": _show, "markdown": _show_markdown, "latex": _show_latex}[form]
    for sheet in tables:
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


_STATUSES = ("finished", "failed", "killed", "running")


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
