"""The charts of a report, as plotly reads them: lines, bars and a matrix, told apart without colour as well.

Colours of text, grid and background are the page's, which knows whether it is dark.
"""

from __future__ import annotations

import html
import json
import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchbench.report.figures import read_confusion_matrix, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from benchbench.compare.configurations import Configuration
    from benchbench.record import Record
    from benchbench.report.labels import LabelTable
    from benchbench.report.subject import Subject

# Okabe and Ito, "Color Universal Design", 2008, those that can be seen on white and on black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
SHAPES = {"load": "/", "train": "", "eval": ".", "checkpoint": "x", "other": "-"}
PANELS = (
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
    ("train_loss", "training loss (nats)"),
    ("val_loss", "validation loss (nats)"),
)
MAX_SINGLE_LINES = 100
"""Of more trials only means and bands are drawn: a browser draws each line for itself."""

_MAX_NUMBERED_LABELS = 24
_NAME_CHARACTERS = 38


@dataclass(frozen=True)
class Chart:
    """A chart: its name in the page, what it shows in words, plotly's traces and layouts for a wide and narrow page."""

    name: str
    caption: str
    data: list[dict[str, Any]]
    wide: dict[str, Any]
    narrow: dict[str, Any]

    @staticmethod
    def of(name: str, caption: str, figure: go.Figure, narrow: go.Figure | None = None) -> Chart:
        """Return the chart of a figure, whose layout is another one where the page is narrow."""
        # Through plotly's own JSON, which has no NaN.
        wide, small = (json.loads(made.to_json()) for made in (figure, narrow or figure))
        return Chart(name, caption, wide["data"], wide["layout"], small["layout"])


def curves(subject: Subject) -> Chart:
    """Return accuracy and loss of training and validation by epoch: every trial, and each configuration's mean.

    The bands are from the lowest to the highest of the finished trials of a configuration.
    """
    titles = [title for _, title in PANELS]
    figure = make_subplots(2, 2, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=0.13)
    narrow = make_subplots(4, 1, subplot_titles=titles, vertical_spacing=0.06)
    for number, (row, name) in enumerate(zip(subject.rows, subject.names, strict=True)):
        for panel, (measure, _) in enumerate(PANELS):
            place = {"row": 1 + panel // 2, "col": 1 + panel % 2}
            for trace in _lines(
                row, measure, number=number, name=name, is_few=len(subject.records) <= MAX_SINGLE_LINES
            ):
                figure.add_trace(trace.update(showlegend=bool(trace.showlegend) and panel == 0), **place)
    for one, height in ((figure, 640), (narrow, 1200)):
        _lay_out(one, height=height)
        one.update_xaxes(title_text="epoch", title_standoff=4)
        for panel, (measure, _) in enumerate(PANELS):
            one.update_layout({_axis("yaxis", panel): _share() if "accuracy" in measure else {"rangemode": "tozero"}})
    caption = (
        "Each thin line is a trial; thick lines are means over the finished trials of a configuration, bands reach"
        " from its lowest to its highest trial. Press a name to hide it, twice to see it alone; drag to zoom,"
        " double-click to go back."
    )
    return Chart.of("curves", caption, figure, narrow)


def accuracy_per_label(table: LabelTable, subject: Subject) -> Chart:
    """Return the test accuracy of each label with its interval; the best configuration and the baseline at first."""
    figure = go.Figure()
    shown = [row.is_best or row.is_baseline for row in subject.comparison.rows]
    labels = [_text(label) for label in table.labels]
    for number, (name, cells) in enumerate(zip(subject.names, table.columns, strict=True)):
        values = [cell.accuracy for cell in cells]
        figure.add_bar(
            orientation="h",
            x=[_number(value) for value in values],
            y=labels,
            name=_name(name),
            visible=True if shown[number] else "legendonly",
            marker={"color": COLORS[number % len(COLORS)], "pattern": {"shape": ("", "/", ".", "x")[number % 4]}},
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
    _lay_out(figure, height=150 + len(labels) * (12 + 16 * rows))
    figure.update_layout(
        barmode="group", bargap=0.25, yaxis={"autorange": "reversed", "type": "category", "dtick": 1}, xaxis=_share()
    )
    return Chart.of("labels", "", figure)


def confusion(path: Path) -> Chart:
    """Return the test pictures of each true label by prediction, from ``confusion_matrix.csv``."""
    labels, predictions, counts = read_confusion_matrix(path)
    totals = counts.sum(axis=1, keepdims=True)
    is_numbered = len(labels) <= _MAX_NUMBERED_LABELS
    figure = go.Figure(
        go.Heatmap(
            z=(counts / np.maximum(totals, 1)).tolist(),
            x=[_text(short(name)) for name in predictions],
            y=[_text(short(name)) for name in labels],
            text=[[str(count or "") for count in row] for row in counts.tolist()] if is_numbered else None,
            texttemplate="%{text}" if is_numbered else None,
            customdata=[
                [
                    [_text(label), _text(prediction), f"{count} of {total}"]
                    for prediction, count in zip(predictions, row, strict=True)
                ]
                for label, row, (total,) in zip(labels, counts.tolist(), totals.tolist(), strict=True)
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
            colorbar={"tickformat": ".0%", "title": {"text": "share of the label", "side": "right"}, "thickness": 12},
        )
    )
    _lay_out(figure, height=190 + (26 if is_numbered else 12) * len(labels))
    figure.update_layout(
        xaxis={"title": {"text": "prediction"}, "tickangle": -60, "type": "category", "showgrid": False},
        yaxis={"title": {"text": "true label"}, "autorange": "reversed", "type": "category", "showgrid": False},
    )
    return Chart.of("confusion", "", figure)


def phases(subject: Subject) -> Chart:
    """Return where the time of each configuration went: means over its finished trials."""
    figure = go.Figure()
    rows = [(name, list(row.finished.values())) for row, name in zip(subject.rows, subject.names, strict=True)]
    rows = [(name, records) for name, records in rows if records]
    for number, (phase, shape) in enumerate(SHAPES.items()):
        figure.add_bar(
            orientation="h",
            x=[_mean(getattr(record.times, phase) for record in records if record.times) for _, records in rows],
            y=[_name(name) for name, _ in rows],
            name=phase,
            marker={"color": COLORS[number], "pattern": {"shape": shape, "fgopacity": 0.6}},
            hovertemplate="%{y}<br>" + phase + ": %{x:.2f} s<extra></extra>",
        )
    _lay_out(figure, height=170 + 34 * len(rows))
    figure.update_layout(
        barmode="stack",
        xaxis={"title": {"text": "seconds"}},
        yaxis={"autorange": "reversed", "type": "category"},
        legend={"traceorder": "normal"},
    )
    return Chart.of("phases", "", figure)


def epoch_seconds(subject: Subject) -> Chart:
    """Return the training seconds of each epoch: means over the finished trials of a configuration."""
    figure = go.Figure()
    for number, (row, name) in enumerate(zip(subject.rows, subject.names, strict=True)):
        epochs, means, _, _ = _over_trials(list(row.finished.values()), "train_seconds")
        figure.add_scatter(
            x=epochs,
            y=means,
            mode="lines+markers",
            name=_name(name),
            line=_line(number),
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 6},
            hovertemplate="epoch %{x}: %{y:.3f} s<extra>%{fullData.name}</extra>",
        )
    _lay_out(figure, height=max(300, 170 + 34 * len(subject.rows)))
    figure.update_layout(
        xaxis={"title": {"text": "epoch"}}, yaxis={"title": {"text": "seconds"}, "rangemode": "tozero"}
    )
    return Chart.of("epochs", "", figure)


def _lines(row: Configuration, measure: str, *, number: int, name: str, is_few: bool) -> Iterator[go.Scatter]:
    """Yield a band, a line for each trial, and the mean, which stands for all in the legend."""
    finished = list(row.finished.values())
    common: dict[str, Any] = {"legendgroup": str(number), "name": _name(name), "showlegend": False, "mode": "lines"}
    number_format = ".1%" if "accuracy" in measure else ".4f"
    epochs, means, lows, highs = _over_trials(finished, measure)
    is_mean = len(finished) > 1
    if is_mean:
        nothing = {"width": 0, "color": COLORS[number % len(COLORS)]}
        edge = common | {"x": epochs, "line": nothing, "hoverinfo": "skip"}
        yield go.Scatter(y=lows, **edge)
        yield go.Scatter(y=highs, fill="tonexty", fillcolor=_faint(number), **edge)
    if is_few or not is_mean:
        for unit, record in row.trials.items():
            yield go.Scatter(
                x=[epoch.epoch for epoch in record.epochs],
                y=[_number(getattr(epoch, measure)) for epoch in record.epochs],
                line=_line(number, width=1 if is_mean else 2.2),
                opacity=0.55 if is_mean else 1,
                hovertemplate=f"epoch %{{x}}: %{{y:{number_format}}}<br>{_unit(unit, record)}<extra>{_name(name)}</extra>",
                **common | {"showlegend": not is_mean and record is next(iter(row.trials.values()))},
            )
    if is_mean:
        yield go.Scatter(
            x=epochs,
            y=means,
            line=_line(number, width=2.4),
            hovertemplate=f"epoch %{{x}}: %{{y:{number_format}}}<br>mean of {len(finished)}<extra>{_name(name)}</extra>",
            **common | {"showlegend": True},
        )


def _over_trials(
    records: Sequence[Record], measure: str
) -> tuple[list[int], list[float | None], list[float | None], list[float | None]]:
    """Return epochs, and of their values over the trials the means, the lowest and the highest."""
    by_epoch: dict[int, list[float]] = {}
    for record in records:
        for epoch in record.epochs:
            by_epoch.setdefault(epoch.epoch, []).append(getattr(epoch, measure))
    values = by_epoch.values()
    return (
        list(by_epoch),
        [_mean(of_one) for of_one in values],
        [_number(min(of_one)) for of_one in values],
        [_number(max(of_one)) for of_one in values],
    )


def _lay_out(figure: go.Figure, *, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 28, "b": 12},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.01, "x": 0},
        hoverlabel={"namelength": -1},
        dragmode="zoom",
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)


def _share() -> dict[str, Any]:
    return {"tickformat": ".0%", "range": [0, 1.02]}


def _axis(name: str, panel: int) -> str:
    return name if panel == 0 else f"{name}{panel + 1}"


def _line(number: int, *, width: float = 2.0) -> dict[str, Any]:
    return {"color": COLORS[number % len(COLORS)], "dash": DASHES[number % len(DASHES)], "width": width}


def _faint(number: int) -> str:
    red, green, blue = bytes.fromhex(COLORS[number % len(COLORS)][1:])
    return f"rgba({red},{green},{blue},0.16)"


def _unit(unit: str, record: Record) -> str:
    how = "" if record.status == "finished" else f", {record.status} after {len(record.epochs)} epochs"
    return _text(unit) + how


def _name(text: str) -> str:
    return "<br>".join(_text(line) for line in textwrap.wrap(text, _NAME_CHARACTERS))


def _text(text: str) -> str:
    """Return a text that plotly shows as it is: it takes some of HTML's tags."""
    return html.escape(text, quote=False)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return _number(math.fsum(found) / len(found)) if found else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
