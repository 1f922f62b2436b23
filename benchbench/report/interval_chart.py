"""The interval plot of a comparison as a chart."""

from __future__ import annotations

import textwrap
from itertools import accumulate
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.interval_plot import interval_plot
from benchbench.report import chart_style
from benchbench.report.chart_style import Chart
from benchbench.report.drawing import PAGE_COLOR, QUIET_COLOR, Figure, MaxNLocator, mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchbench.compare import Comparison
    from benchbench.compare.interval_plot import IntervalPlot, IntervalRow

MAX_ROWS = 40
LINE_INCHES, BAR_INCHES, AXIS_INCHES = 0.17, 0.25, 0.75
CHARACTERS_AN_INCH = 9


def interval_chart(comparison: Comparison, name: str) -> Chart | None:
    """Return a panel for each metric that has intervals, with a row for each configuration; None if there is none."""
    drawn = (interval_plot(comparison, metric, max_rows=MAX_ROWS) for metric in comparison.metrics)
    plots = [plot for plot in drawn if plot]

    def draw(inches: float) -> Figure:
        heights = [sum(_heights(plot, inches)) + AXIS_INCHES for plot in plots]
        figure = Figure(figsize=(inches, sum(heights)))
        panels = figure.subplots(len(plots), 1, squeeze=False, height_ratios=heights).flat
        for axes, plot in zip(panels, plots, strict=True):
            _draw_plot(axes, plot, inches)
        return figure

    return Chart.of(name, draw) if plots else None


def _draw_plot(axes: Axes, plot: IntervalPlot, inches: float) -> None:
    """Draw each row as a bar below its name, so that a name is never cut off however narrow the chart is."""
    heights = _heights(plot, inches)
    bottoms = list(accumulate(heights))
    low, high = plot.limits
    margin = 0.03 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(bottoms[-1], 0)
    axes.axvline(0, color=QUIET_COLOR, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for row, bottom, height in zip(plot.rows, bottoms, heights, strict=True):
        _draw_row(axes, row, plot, bottom - BAR_INCHES / 2)
        text = "\n".join(_name_lines(row, inches))
        axes.text(0, 1 - (bottom - height) / bottoms[-1], text, transform=axes.transAxes, va="top", fontsize=9)
    ticks = [tick for tick in MaxNLocator(5).tick_values(*map(plot.value, plot.limits)) if _is_inside(tick, plot)]
    axes.set_xticks([plot.position(tick) for tick in ticks], [_tick_text(tick, plot) for tick in ticks])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    title = f"{plot.title}; {plot.num_left_out} more in the table" if plot.num_left_out else plot.title
    axes.set_title("\n".join(textwrap.wrap(title, int(inches * CHARACTERS_AN_INCH))))


def _draw_row(axes: Axes, row: IntervalRow, plot: IntervalPlot, y: float) -> None:
    low, high = plot.limits
    tip = f"{row.name}: {formatting.change(row.estimate, row.interval, plot.metric)}"
    if row.interval:
        ends = [plot.position(end) for end in (row.interval.low, row.interval.high)]
        shown = [max(ends[0], low), min(ends[1], high)]
        axes.plot(shown, [y, y], color=chart_style.color(0), linewidth=1.8, solid_capstyle="butt")
        for end, shown_end, arrow in zip(ends, shown, "<>", strict=True):
            axes.plot(shown_end, y, marker="|" if end == shown_end else arrow, markersize=8, color=chart_style.color(0))
    face = chart_style.color(0) if row.is_different else PAGE_COLOR
    (point,) = axes.plot(
        plot.position(row.estimate),
        y,
        marker="o",
        markersize=7,
        color=chart_style.color(0),
        markerfacecolor=face,
        zorder=4,
    )
    mark(point, tip)


def _name_lines(row: IntervalRow, inches: float) -> list[str]:
    return textwrap.wrap(row.name, int(inches * CHARACTERS_AN_INCH))


def _heights(plot: IntervalPlot, inches: float) -> list[float]:
    return [BAR_INCHES + LINE_INCHES * len(_name_lines(row, inches)) for row in plot.rows]


def _is_inside(tick: float, plot: IntervalPlot) -> bool:
    low, high = plot.limits
    return low <= plot.position(tick) <= high


def _tick_text(tick: float, plot: IntervalPlot) -> str:
    if plot.metric.is_ratio:
        return f"{tick:g}"
    value = formatting.PERCENT * tick if plot.metric.unit == "fraction" else tick
    return f"{value:+.6g}" if value else "0"
