"""Curves over epochs: accuracy and loss of every trial, and the seconds that an epoch took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchbench.report import charts
from benchbench.report.charts import Chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.configurations import Configuration
    from benchbench.records.record import Record
    from benchbench.report.subject import Subject

PANELS = (
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
    ("train_loss", "training loss (nats)"),
    ("val_loss", "validation loss (nats)"),
)
MAX_SINGLE_LINES = 100
"""Of more trials only means and bands are drawn: a browser draws each line for itself."""


def learning_curves(subject: Subject) -> Chart:
    """Return accuracy and loss of training and validation by epoch: every trial, and each configuration's mean.

    The bands are from the lowest to the highest of the finished trials of a configuration.
    """
    titles = [title for _, title in PANELS]
    wide = make_subplots(2, 2, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=0.13)
    narrow = make_subplots(4, 1, subplot_titles=titles, vertical_spacing=0.06)
    has_singles = len(subject.records) <= MAX_SINGLE_LINES
    for number, (row, name) in enumerate(zip(subject.rows, subject.names, strict=True)):
        for panel, (measure, _) in enumerate(PANELS):
            for trace in _Lines(row, measure, number, name).traces(has_singles=has_singles):
                trace.showlegend = trace.showlegend and panel == 0
                wide.add_trace(trace, row=1 + panel // 2, col=1 + panel % 2)
    for figure, height in ((wide, 640), (narrow, 1200)):
        charts.lay_out(figure, height=height)
        figure.update_xaxes(title_text="epoch", title_standoff=4)
        for panel, (measure, _) in enumerate(PANELS):
            axis = charts.share() if "accuracy" in measure else {"rangemode": "tozero"}
            figure.update_layout({f"yaxis{panel + 1}": axis})
    return Chart.of("curves", wide, narrow)


def epoch_seconds(subject: Subject) -> Chart:
    """Return the training seconds of each epoch: means over the finished trials of a configuration."""
    figure = go.Figure()
    for number, (row, name) in enumerate(zip(subject.rows, subject.names, strict=True)):
        epochs, means, _, _ = _over_trials(list(row.finished.values()), "train_seconds")
        figure.add_scatter(
            x=epochs,
            y=means,
            mode="lines+markers",
            name=charts.name(name),
            line=charts.line(number),
            marker={"symbol": charts.SYMBOLS[number % len(charts.SYMBOLS)], "size": 6},
            hovertemplate="epoch %{x}: %{y:.3f} s<extra>%{fullData.name}</extra>",
        )
    charts.lay_out(figure, height=max(300, 170 + 34 * len(subject.rows)))
    figure.update_layout(
        xaxis={"title": {"text": "epoch"}}, yaxis={"title": {"text": "seconds"}, "rangemode": "tozero"}
    )
    return Chart.of("epochs", figure)


@dataclass(frozen=True)
class _Lines:
    """The lines of one configuration in one panel; a mean stands for all of them in the legend."""

    row: Configuration
    measure: str
    number: int
    name: str

    def traces(self, *, has_singles: bool) -> list[go.Scatter]:
        """Return a band, a line for each trial, and the mean; of a single trial its line alone."""
        finished = list(self.row.finished.values())
        if len(finished) <= 1:
            singles = self._singles(width=2.2, opacity=1.0)
            singles[0].showlegend = True
            return singles
        epochs, means, lows, highs = _over_trials(finished, self.measure)
        edge = {"x": epochs, "line": {"width": 0, "color": charts.color(self.number)}, "hoverinfo": "skip"}
        return [
            self._trace(y=lows, **edge),
            self._trace(y=highs, fill="tonexty", fillcolor=charts.faint(self.number), **edge),
            *(self._singles(width=1.0, opacity=0.55) if has_singles else []),
            self._trace(
                x=epochs,
                y=means,
                line=charts.line(self.number, width=2.4),
                hovertemplate=self._hover(f"mean of {len(finished)}"),
                showlegend=True,
            ),
        ]

    def _singles(self, *, width: float, opacity: float) -> list[go.Scatter]:
        return [
            self._trace(
                x=[epoch.epoch for epoch in record.epochs],
                y=[charts.finite(getattr(epoch, self.measure)) for epoch in record.epochs],
                line=charts.line(self.number, width=width),
                opacity=opacity,
                hovertemplate=self._hover(_unit(unit, record)),
            )
            for unit, record in self.row.trials.items()
        ]

    def _trace(self, **looks: Any) -> go.Scatter:
        common = {"name": charts.name(self.name), "legendgroup": str(self.number), "mode": "lines"}
        return go.Scatter(common | {"showlegend": False} | looks)

    def _hover(self, which: str) -> str:
        digits = ".1%" if "accuracy" in self.measure else ".4f"
        return f"epoch %{{x}}: %{{y:{digits}}}<br>{which}<extra>{charts.name(self.name)}</extra>"


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
        [charts.mean(of_one) for of_one in values],
        [charts.finite(min(of_one)) for of_one in values],
        [charts.finite(max(of_one)) for of_one in values],
    )


def _unit(unit: str, record: Record) -> str:
    how = "" if record.status == "finished" else f", {record.status} after {len(record.epochs)} epochs"
    return charts.text(unit) + how
