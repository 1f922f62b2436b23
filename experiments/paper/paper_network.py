"""Figure 1: the architecture as a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchbench.records import file_names
from benchbench.records.artifact_files import LayerColumn
from benchbench.report.run_figures import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benchbench.records.record import Record
    from benchbench.report.trial_files import TrialFiles

_COLUMNS = ("layer", "kind", "output", "parameters", "multiply-adds")
_WIDTHS = (0.28, 0.27, 0.15, 0.15, 0.15)
_MAX_ROWS = 40
_ROW_INCHES = 0.22


@dataclass(frozen=True)
class Row:
    """One line of ``layers.csv``, or of several lines in one."""

    layer: str
    kind: str
    output: str
    parameters: int
    multiply_adds: int


def architecture(trials: Iterable[TrialFiles]) -> Figure | str:
    """Return the layers of the first of the trials that kept them; if they are many, blocks of them."""
    for trial in trials:
        path = trial.artifacts / file_names.LAYERS
        if path.exists():
            return _table(read_layers(path), trial.record)
    return f"no trial kept its {file_names.LAYERS}"


def read_layers(path: Path) -> list[Row]:
    """Return the lines of ``layers.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row[LayerColumn.LAYER],
                row[LayerColumn.KIND],
                row[LayerColumn.OUTPUT],
                int(row[LayerColumn.PARAMETERS]),
                int(row[LayerColumn.MULTIPLY_ADDS]),
            )
            for row in csv.DictReader(file)
        ]


def blocks(rows: Sequence[Row], max_rows: int = _MAX_ROWS) -> list[Row]:
    """Return the rows, or those in the same module as one, of the finest division into ``max_rows`` at most."""
    depth = max((row.layer.count(".") + 1 for row in rows), default=1)
    shown = list(rows)
    while len(shown) > max_rows and depth > 1:
        depth -= 1
        shown = [_merged(name, list(group)) for name, group in groupby(rows, partial(_beginning, depth))]
    return shown


def _beginning(depth: int, row: Row) -> str:
    return ".".join(row.layer.split(".")[:depth])


def _merged(name: str, rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    return Row(
        name,
        f"{len(rows)} layers",
        rows[-1].output,
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
    )


def _table(rows: Sequence[Row], record: Record) -> Figure:
    shown = blocks(rows)
    side = record.spec.dataset.params["image_size"]
    cells = [
        (short(row.layer), short(row.kind), row.output, *_counts(row.parameters, row.multiply_adds)) for row in shown
    ]
    total = ("all", "", "", *_counts(sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)))
    figure = Figure(figsize=(8, 0.9 + _ROW_INCHES * (len(cells) + 2)))
    figure.suptitle(_title(record), x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(
        f"for an image of {record.data.image_shape[0]}x{side}x{side}; multiply-adds of matrix products, convolutions",
        x=0.01,
        ha="left",
        fontsize=8,
    )
    axes = figure.subplots()
    axes.axis("off")
    table = axes.table(
        cellText=[*cells, total],
        colLabels=list(_COLUMNS),
        colWidths=list(_WIDTHS),
        cellLoc="right",
        colLoc="right",
        bbox=Bbox.unit(),
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8.5)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("#C6CAD0")
        cell.PAD = 0.02
        if column < 2:  # noqa: PLR2004 - names stand left, numbers right
            cell.set_text_props(ha="left")
        if row in (0, len(cells) + 1):
            cell.set_text_props(fontweight="bold")
    return figure


def _title(record: Record) -> str:
    """Return the model with those of its parameters that are words, such as an architecture of timm."""
    model = record.spec.model
    words = [value for value in model.params.values() if isinstance(value, str)]
    return f"{' '.join([model.name, *words])} on {record.spec.dataset.name}"


def _counts(*values: int) -> tuple[str, ...]:
    return tuple(f"{value:,}" if value else "" for value in values)
