"""Bars and the matrix: accuracy by class, what was taken for what, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from benchbench.report import charts
from benchbench.report.charts import Chart
from benchbench.report.figures import read_confusion_matrix, short

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.report.classes import ClassTable
    from benchbench.report.subject import Subject

SHAPES = {"load": "/", "train": "", "eval": ".", "checkpoint": "x", "other": "-"}
_MAX_NUMBERED_CLASSES = 24


def accuracy_per_class(table: ClassTable, subject: Subject) -> Chart:
    """Return the test accuracy of each class with its interval; the best configuration and the baseline at first."""
    figure = go.Figure()
    shown = [row.is_best or row.is_baseline for row in subject.comparison.rows]
    class_names = [charts.text(class_name) for class_name in table.class_names]
    for number, (name, cells) in enumerate(zip(subject.names, table.columns, strict=True)):
        values = [cell.accuracy for cell in cells]
        figure.add_bar(
            orientation="h",
            x=[charts.finite(value) for value in values],
            y=class_names,
            name=charts.name(name),
            visible=True if shown[number] else "legendonly",
            marker={
                "color": charts.color(number),
                "pattern": {"shape": ("", "/", ".", "x")[number % 4]},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [cell.high - cell.accuracy for cell in cells],
                "arrayminus": [cell.accuracy - cell.low for cell in cells],
                "thickness": 1.2,
                "width": 3,
            },
            customdata=[[cell.text] for cell in cells],
            hovertemplate="%{y}: %{customdata[0]}<extra>%{fullData.name}</extra>",
        )
    rows = min(sum(shown), 2)
    charts.lay_out(figure, height=150 + len(class_names) * (12 + 16 * rows))
    figure.update_layout(
        barmode="group",
        bargap=0.25,
        yaxis={"autorange": "reversed", "type": "category", "dtick": 1},
        xaxis=charts.share(),
    )
    return Chart.of("classes", figure)


def confusion(path: Path) -> Chart:
    """Return the test images of each true class by prediction, from ``confusion_matrix.csv``."""
    class_names, predictions, counts = read_confusion_matrix(path)
    totals = counts.sum(axis=1, keepdims=True)
    is_numbered = len(class_names) <= _MAX_NUMBERED_CLASSES
    figure = go.Figure(
        go.Heatmap(
            z=(counts / np.maximum(totals, 1)).tolist(),
            x=[charts.text(short(name)) for name in predictions],
            y=[charts.text(short(name)) for name in class_names],
            text=[[str(count or "") for count in row] for row in counts.tolist()] if is_numbered else None,
            texttemplate="%{text}" if is_numbered else None,
            customdata=[
                [
                    [charts.text(class_name), charts.text(prediction), f"{count} of {total}"]
                    for prediction, count in zip(predictions, row, strict=True)
                ]
                for class_name, row, (total,) in zip(class_names, counts.tolist(), totals.tolist(), strict=True)
            ],
            hovertemplate=(
                "is %{customdata[0]}<br>taken for %{customdata[1]}<br>%{customdata[2]} (%{z:.1%})<extra></extra>"
            ),
            # From nothing to blue, on whatever the page's background is.
            colorscale=[[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,0.65)"]],
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            colorbar={"tickformat": ".0%", "title": {"text": "share of the class", "side": "right"}, "thickness": 12},
        )
    )
    charts.lay_out(figure, height=190 + (26 if is_numbered else 12) * len(class_names))
    figure.update_layout(
        xaxis={"title": {"text": "prediction"}, "tickangle": -60, "type": "category", "showgrid": False},
        yaxis={"title": {"text": "true class"}, "autorange": "reversed", "type": "category", "showgrid": False},
    )
    return Chart.of("confusion", figure)


def phases(subject: Subject) -> Chart:
    """Return where the time of each configuration went: means over its finished trials."""
    figure = go.Figure()
    rows = [(name, list(row.finished.values())) for row, name in zip(subject.rows, subject.names, strict=True)]
    rows = [(name, records) for name, records in rows if records]
    for number, (phase, shape) in enumerate(SHAPES.items()):
        figure.add_bar(
            orientation="h",
            x=[charts.mean(getattr(record.times, phase) for record in records if record.times) for _, records in rows],
            y=[charts.name(name) for name, _ in rows],
            name=phase,
            marker={"color": charts.color(number), "pattern": {"shape": shape, "fgopacity": 0.6}},
            hovertemplate="%{y}<br>" + phase + ": %{x:.2f} s<extra></extra>",
        )
    charts.lay_out(figure, height=170 + 34 * len(rows))
    figure.update_layout(
        barmode="stack",
        xaxis={"title": {"text": "seconds"}},
        yaxis={"autorange": "reversed", "type": "category"},
        legend={"traceorder": "normal"},
    )
    return Chart.of("phases", figure)
