"""Charts by class, by prediction and by phase."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from benchbench.report import charts, figures
from benchbench.report.charts import Chart
from benchbench.report.drawing import Figure, mark
from benchbench.report.kept_files import read_confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.report.class_accuracy import ClassTable
    from benchbench.report.subject import Subject

NAME_CHARACTERS = 26
HATCHES = {"load": "//", "train": "", "eval": "\\\\", "checkpoint": "xx", "other": "--"}


def accuracy_per_class(table: ClassTable, subject: Subject) -> Chart:
    """Return the test accuracy of each class with its interval, for the best configurations and the baselines."""
    shown = subject.compared_positions
    offsets = np.linspace(-0.18, 0.18, len(shown)) if len(shown) > 1 else np.zeros(1)

    def draw(inches: float) -> Figure:
        figure = Figure(figsize=(inches, 0.8 + 0.26 * len(table.class_names)))
        axes = figure.subplots()
        for series, (number, offset) in enumerate(zip(shown, offsets, strict=True)):
            for position, (name, cell) in enumerate(zip(table.class_names, table.columns[number], strict=True)):
                below, above = cell.accuracy - cell.low, cell.high - cell.accuracy
                points = axes.errorbar(
                    cell.accuracy,
                    position + offset,
                    xerr=None if math.isnan(below) else [[max(below, 0)], [max(above, 0)]],
                    fmt=charts.MARKERS[series % len(charts.MARKERS)],
                    color=charts.color(series),
                    markersize=4,
                    linewidth=1.2,
                )
                for bar in points[2]:
                    bar.set_linestyle(charts.line(series)["linestyle"])
                for artist in points.get_children():
                    mark(artist, f"{name}, {subject.names[number]}: {cell.text}", series=series)
        figures.name_rows(axes, table.class_names)
        axes.set_xlim(_lowest(table, shown) - 0.02, 1.02)
        charts.fractions(axes.xaxis)
        return figure

    return Chart.of("classes", draw, [subject.names[number] for number in shown])


def _lowest(table: ClassTable, columns: Sequence[int]) -> float:
    """Return where the lowest interval of these columns begins."""
    cells = [cell for number in columns for cell in table.columns[number]]
    values = [value for cell in cells for value in (cell.accuracy, cell.low) if not math.isnan(value)]
    return min(values, default=0.0)


def confusion(path: Path) -> Chart:
    """Return the test images of each true class by prediction, from ``confusion_matrix.csv``."""
    names, predictions, counts = read_confusion_matrix(path)

    def draw(inches: float) -> Figure:
        return figures.confusion_matrix(names, predictions, counts, inches=inches)

    # The cells are square, so that a wide window needs no wider matrix of a few classes.
    wide = min(charts.WIDE_INCHES, 3.0 + 0.5 * len(names))
    return Chart.of("confusion", draw, widths=(max(wide, charts.NARROW_INCHES + 0.1), charts.NARROW_INCHES))


def phases(subject: Subject) -> Chart:
    """Return where the time of each configuration went: means over its finished trials."""
    named = zip(subject.names, subject.configurations, strict=True)
    rows = [(name, list(each.finished.values())) for name, each in named if each.finished]

    names = ["\n".join(textwrap.wrap(name, NAME_CHARACTERS)) for name, _ in rows]
    num_lines = max((name.count("\n") + 1 for name in names), default=1)

    def draw(inches: float) -> Figure:
        figure = Figure(figsize=(inches, 1.2 + (0.18 + 0.16 * num_lines) * len(rows)))
        axes = figure.subplots()
        starts = np.zeros(len(rows))
        for number, (phase, hatch) in enumerate(HATCHES.items()):
            values = [
                charts.mean(getattr(record.times, phase) for record in records if record.times) for _, records in rows
            ]
            seconds = np.nan_to_num(values)
            bars = axes.barh(
                range(len(rows)), seconds, left=starts, height=0.6, label=phase, color=charts.color(number), hatch=hatch
            )
            for bar, (name, _), value in zip(bars, rows, seconds, strict=True):
                mark(bar, f"{name}, {phase}: {value:.2f} s")
            starts += seconds
        figures.name_rows(axes, [name for name, _ in rows])
        # Whole, since configurations may differ in the last of many words.
        axes.set_yticks(range(len(rows)), names, fontsize=9)
        axes.set_xlabel("seconds")
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        return figure

    return Chart.of("phases", draw, widths=(charts.HALF_INCHES, charts.NARROW_INCHES))
