"""Charts by class: the accuracy of each, and what was predicted for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchbench.report import chart_style, run_figures
from benchbench.report.chart_style import Chart
from benchbench.report.drawing import Figure, mark
from benchbench.report.kept_files import read_confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.report.class_accuracy import ClassTable
    from benchbench.report.subject import Subject


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
                    fmt=chart_style.MARKERS[series % len(chart_style.MARKERS)],
                    color=chart_style.color(series),
                    markersize=4,
                    linewidth=1.2,
                )
                for bar in points[2]:
                    bar.set_linestyle(chart_style.line(series)["linestyle"])
                for artist in points.get_children():
                    mark(artist, f"{name}, {subject.names[number]}: {cell.text}", series=series)
        run_figures.name_rows(axes, table.class_names)
        axes.set_xlim(_lowest(table, shown) - 0.02, 1.02)
        chart_style.fractions(axes.xaxis)
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
        return run_figures.confusion_matrix(names, predictions, counts, inches=inches)

    # The cells are square, so that a wide window needs no wider matrix of a few classes.
    wide = min(chart_style.WIDE_INCHES, 3.0 + 0.5 * len(names))
    return Chart.of("confusion", draw, widths=(max(wide, chart_style.NARROW_INCHES + 0.1), chart_style.NARROW_INCHES))
