"""Charts over epochs: accuracy and loss of every trial, and the seconds that an epoch took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchbench.config.defaults import LOSS
from benchbench.errors import counted
from benchbench.report import chart_style
from benchbench.report.chart_style import Chart
from benchbench.report.drawing import Figure, mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from benchbench.compare.configurations import Configuration
    from benchbench.records.events import Epoch
    from benchbench.records.record import Record
    from benchbench.report.subject import Subject

PANELS = (
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
    ("train_loss", "training loss (nats)"),
    ("val_loss", "validation loss (nats)"),
)
MAX_SINGLE_LINES = 100
"""Above this number of trials only means and bands are drawn."""

MAX_POINTS = 12_000
"""The most points in a panel: beyond it, only some epochs are drawn, so that a report stays below 2 MB."""

FAR = 20
"""Lines whose highest losses differ by more than this factor need a logarithmic axis."""

NUM_MARKS = 8
"""How many markers a long line has, which tell it from others without its color."""


def learning_curves(subject: Subject) -> Chart:
    """Return accuracy and loss of training and validation by epoch: every trial, and the mean of each configuration.

    Bands reach from the lowest to the highest finished trial of a configuration.
    """
    # Validation loss is always the cross-entropy, whatever the network is trained with.
    names = sorted({record.spec.loss.name for record in subject.records})
    losses = "" if names == [LOSS] else " or ".join(names)

    def draw(inches: float) -> Figure:
        is_wide = inches >= chart_style.WIDE_INCHES
        figure = Figure(figsize=(inches, 6.0 if is_wide else 11.0))
        panels = figure.subplots(*((2, 2) if is_wide else (4, 1))).flat
        for axes, (measure, title) in zip(panels, PANELS, strict=True):
            _draw_panel(axes, subject, measure)
            axes.set_title(f"{title}, by {losses}" if measure == "train_loss" and losses else title)
        return figure

    return Chart.of("curves", draw, subject.names)


def epoch_seconds(subject: Subject) -> Chart:
    """Return the training seconds of each epoch: means over the finished trials of a configuration."""
    every = _every(subject, has_singles=False)

    def draw(inches: float) -> Figure:
        figure = Figure(figsize=(inches, 3.0))
        axes = figure.subplots()
        for number, configuration in enumerate(subject.configurations):
            over = _Values.of(list(configuration.finished.values()), "train_seconds", every=every)
            style = chart_style.line(number) | {"marker": _marker(number), "markersize": 3.5}
            style["markevery"] = math.ceil(len(over.epochs) / NUM_MARKS) or 1
            (line,) = axes.plot(over.epochs, over.means, **style)
            mark(line, subject.names[number], series=number)
        chart_style.whole_epochs(axes)
        axes.set_ylabel("seconds")
        axes.set_ylim(bottom=0)
        return figure

    return Chart.of("epochs", draw, subject.names, widths=(chart_style.HALF_INCHES, chart_style.NARROW_INCHES))


def _draw_panel(axes: Axes, subject: Subject, measure: str) -> None:
    has_singles = len(subject.records) <= MAX_SINGLE_LINES
    every = _every(subject, has_singles=has_singles)
    for number, configuration in enumerate(subject.configurations):
        name = subject.names[number]
        _draw_lines(axes, configuration, measure, number, name=name, has_singles=has_singles, every=every)
    chart_style.whole_epochs(axes)
    if "accuracy" in measure:
        chart_style.fractions(axes.yaxis)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.01), min(high, 1.01))
    else:
        _fit_losses(axes)


def _fit_losses(axes: Axes) -> None:
    """Show losses from 0 on, or on a logarithmic axis if those of a trial that diverged would flatten all others."""
    lines = (np.asarray(line.get_ydata(), dtype=float) for line in axes.lines)
    drawn = [values for line in lines if len(values := line[np.isfinite(line)])]
    if not drawn or min(values.min() for values in drawn) < 0:
        return
    highest = [float(values.max()) for values in drawn]
    if min(values.min() for values in drawn) > 0 and max(highest) > FAR * min(highest):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 0.0))


def _every(subject: Subject, *, has_singles: bool) -> int:
    """Return 1 to draw every epoch, 2 for every second one, and so on."""
    # A mean, and a band that has an upper and a lower end.
    num_points = sum(3 * max(len(record.epochs) for record in each.trials.values()) for each in subject.configurations)
    num_points += sum(len(record.epochs) for record in subject.records) if has_singles else 0
    return math.ceil(num_points / MAX_POINTS) or 1


def _thinned(epochs: Sequence[Epoch], every: int) -> Sequence[Epoch]:
    return (*epochs[:-1:every], *epochs[-1:])


def _draw_lines(
    axes: Axes, configuration: Configuration, measure: str, number: int, *, name: str, has_singles: bool, every: int
) -> None:
    """Draw a band, a line for each trial, and the mean; only the line if there is a single trial."""
    finished = list(configuration.finished.values())
    is_alone = len(finished) <= 1
    if has_singles or is_alone:
        width, alpha = (1.5, 1.0) if is_alone else (0.6, 0.6)
        for unit, record in configuration.trials.items():
            drawn = _thinned(record.epochs, every)
            values = [chart_style.finite(getattr(epoch, measure)) for epoch in drawn]
            epochs = [epoch.epoch for epoch in drawn]
            # A trial that stopped after its first epoch is a point.
            marker = _marker(number) if len(epochs) == 1 else ""
            (line,) = axes.plot(
                epochs, values, alpha=alpha, marker=marker, markersize=3, **chart_style.line(number, width=width)
            )
            mark(line, f"{name}, {_trial_name(unit, record)}", series=number)
    if is_alone:
        return
    over = _Values.of(finished, measure, every=every)
    band = axes.fill_between(
        over.epochs, over.lows, over.highs, color=chart_style.color(number), alpha=0.15, linewidth=0
    )
    mark(band, series=number)
    (line,) = axes.plot(over.epochs, over.means, **chart_style.line(number, width=1.8))
    mark(line, f"{name}, mean of {len(finished)}", series=number)


@dataclass(frozen=True)
class _Values:
    """A measure by epoch over several trials."""

    epochs: list[int]
    means: list[float]
    lows: list[float]
    highs: list[float]

    @staticmethod
    def of(records: Sequence[Record], measure: str, *, every: int) -> _Values:
        by_epoch: dict[int, list[float]] = {}
        for record in records:
            for epoch in _thinned(record.epochs, every):
                by_epoch.setdefault(epoch.epoch, []).append(getattr(epoch, measure))
        # After the shortest trial ends, the mean would be over fewer trials, and would jump.
        by_epoch = {epoch: numbers for epoch, numbers in sorted(by_epoch.items()) if len(numbers) == len(records)}
        values = by_epoch.values()
        return _Values(
            list(by_epoch),
            [chart_style.mean(numbers) for numbers in values],
            [chart_style.finite(min(numbers)) for numbers in values],
            [chart_style.finite(max(numbers)) for numbers in values],
        )


def _marker(number: int) -> str:
    return chart_style.MARKERS[number % len(chart_style.MARKERS)]


def _trial_name(unit: str, record: Record) -> str:
    ending = "" if record.status == "finished" else f", {record.status} after {counted(len(record.epochs), 'epoch')}"
    return unit + ending
