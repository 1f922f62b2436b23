"""What MLflow shows for a whole grid, at the parent run of its trials: a description, and a table of all trials."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.adaptive import summary
from benchbench.compare.answer import answer
from benchbench.compare.frame import to_frame
from benchbench.compare.interval_plot import interval_plot, plot_lines
from benchbench.compare.text_tables import Column, markdown_rows, table_of
from benchbench.config.differences import varying
from benchbench.errors import SpecError
from benchbench.records import file_names
from benchbench.records.metrics import FINAL_VAL_ACCURACY, TEST_ACCURACY, TEST_LOSS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchbench.compare import Comparison, Row
    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.compare.groups import ComparedGroup
    from benchbench.compare.metric_values import Metric
    from benchbench.config.grid_file import GridFile
    from benchbench.records.record import Record

MAX_CHARACTERS = 7500
"""MLflow takes tags of 8,000."""

MAX_BARS, PLOT_CHARACTERS = 12, 80

_CODE = "```text"

_RESULTS = ("status", "num_epochs", FINAL_VAL_ACCURACY, TEST_ACCURACY, TEST_LOSS, "train_seconds", "error")


@dataclass(frozen=True)
class GridPage:
    """A description in Markdown, and texts by the names of their files."""

    note: str
    files: dict[str, str]


def grid_page(
    grid: GridFile,
    text: str,
    records: Sequence[Record],
    *,
    num_trials: int,
    compare: Callable[[], Sequence[ComparedGroup]],
    progress: AdaptiveProgress | None = None,
) -> GridPage:
    """Return the page of a grid: its question, how its trials ended, the results and what may be concluded.

    ``text`` is the text of its file; ``records`` are those of the started trials, of ``num_trials`` in all, which
    ``compare`` compares in groups. ``progress`` tells how its design went, if that adds seeds.
    """
    texts = {file_names.GRID: text}
    if records:
        texts[file_names.TRIALS] = trials_table(records)
    return GridPage(_fitted(list(_lines(grid, records, num_trials, compare, progress))), texts)


def trials_table(records: Sequence[Record]) -> str:
    """Return a row for each trial, the best by validation first, in the form of MLflow's tables: JSON, split.

    Parameters are as in the specs, and results have six significant digits.
    """
    keys = [key for key in varying([record.spec for record in records]) if key != "seed"]
    ordered = sorted(records, key=lambda record: record.rank, reverse=True)
    columns = [*keys, "seed", *_RESULTS, "run_id"]
    # Columns that no trial has, of a grid without results, are empty.
    rows = to_frame(ordered).reindex(columns=columns).itertuples(index=False, name=None)
    data = [[_plain(value, name) for value, name in zip(row, columns, strict=True)] for row in rows]
    # MLflow's page leaves cells empty whose column has a dot in its name.
    return json.dumps({"columns": [name.replace(".", " ") for name in columns], "data": data})


def _plain(value: object, column: str) -> object:
    """Return a value of the table as JSON has it, which knows no NaN."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.6g}") if column in _RESULTS else value


def _lines(
    grid: GridFile,
    records: Sequence[Record],
    num_trials: int,
    compare: Callable[[], Sequence[ComparedGroup]],
    progress: AdaptiveProgress | None,
) -> Iterator[str]:
    if grid.headline:
        yield f"**{grid.headline}**\n"
    counts: Counter[str] = Counter(record.status for record in records)
    counts["not started"] = num_trials - len(records)
    endings = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    # Below the answer, since MLflow's page folds all but the first lines away.
    below = (f"{num_trials} trial{'s' if num_trials > 1 else ''}: {endings}", *_progress(progress, num_trials))
    try:
        groups = compare()
    except SpecError as error:
        yield from (f"{line}\n" for line in (f"Nothing is compared: {error.message}", *below))
    else:
        for group in groups:
            yield from (f"### {group.heading}\n",) if group.heading else ()
            if group.comparison:
                yield from _comparison(group.comparison, below)
                below = ()
            else:
                yield f"Nothing is compared: {group.obstacle}\n"
    names = f"All trials are in `{file_names.TRIALS}`, the grid's file is `{file_names.GRID}`."
    yield f"{names} `bench compare` says more.\n"


def _progress(progress: AdaptiveProgress | None, num_trials: int) -> tuple[str, ...]:
    return summary(progress, num_trials) if progress else ()


def _comparison(comparison: Comparison, below: Sequence[str]) -> Iterator[str]:
    yield f"{' '.join(answer(comparison))}\n"
    yield from (f"{line}\n" for line in below)
    yield from _plot(comparison)
    yield from _table(comparison)
    yield from _verdicts(comparison)
    yield from (f"Warning: {warning}\n" for warning in comparison.warnings)


def _plot(comparison: Comparison) -> Iterator[str]:
    plot = interval_plot(comparison, comparison.metrics[0], max_rows=MAX_BARS)
    if plot:
        yield "\n".join((_CODE, *plot_lines(plot, width=PLOT_CHARACTERS), "```\n"))


def _table(comparison: Comparison) -> Iterator[str]:
    columns: list[Column[Row]] = [
        Column("configuration", lambda row: f"{_name(row)}{' (best by validation)' if row.is_best else ''}"),
        *map(_column, comparison.metrics),
        Column("not finished", lambda row: formatting.statuses(row.statuses)),
    ]
    table = table_of("results", columns, comparison.rows)
    yield from markdown_rows(table.columns, table.rows).split("\n")
    yield "\nMean ± standard deviation (n) over seeds.\n"


def _verdicts(comparison: Comparison) -> Iterator[str]:
    if len(comparison.rows) < 2:  # noqa: PLR2004 - it takes two to compare
        return
    yield f"Against {_name(comparison.baseline)}:\n"
    for row in comparison.rows:
        if not row.is_baseline:
            yield from (_verdict(row, metric) for metric in comparison.metrics)
    yield ""
    yield f"{formatting.caption(comparison, comparison.metrics[0], marks_best=False)}\n"


def _verdict(row: Row, metric: Metric) -> str:
    cell = row.cells[metric.name]
    change = formatting.difference(cell.contrast, metric)
    unit = " times" if metric.is_ratio else " points" if metric.unit == "fraction" else ""
    return f"- {_name(row)}, {metric.name}: {cell.verdict.words}{f'; {change}{unit}' if change else ''}"


def _column(metric: Metric) -> Column[Row]:
    heading = f"{metric.name} ({formatting.unit(metric)})" if metric.unit else metric.name
    return Column(heading, lambda row: formatting.value(row.cells[metric.name], metric))


def _name(row: Row) -> str:
    return f"`{row.display_name}`"


def _fitted(parts: list[str]) -> str:
    """Return the parts as one text. If they are too long, later ones are left out, but not the first and the last.

    Plots of all groups but the first go first, then rows of tables and verdicts, then the other lines.
    """
    plots = [number for number, part in enumerate(parts) if part.startswith(_CODE)]
    rows = [number for number, part in enumerate(parts) if part.startswith(("| `", "- `"))]
    in_order = dict.fromkeys((*reversed(plots[1:]), *reversed(rows), *reversed(range(1, len(parts) - 1))))
    excess, left_out = len("\n".join(parts)) - MAX_CHARACTERS, set()
    for number in in_order:
        if excess > 0:
            excess -= len(parts[number]) + 1
            left_out.add(number)
    kept = [part for number, part in enumerate(parts) if number not in left_out]
    if left_out:
        num_lines = sum(len(parts[number].splitlines()) for number in left_out)
        kept.append(f"{num_lines} lines more than fit here are left out.\n")
    return "\n".join(kept)
