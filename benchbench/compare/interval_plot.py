"""The interval plot of a comparison: each configuration against the baseline, as data and as lines of text."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.verdicts import DIFFERENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.intervals import Interval
    from benchbench.compare.metric_values import Metric

MAX_LINES = 20
MIN_BAR, MIN_WIDTH, GAP = 24, 60, 2
REACH = 4
"""An interval that is this many times as long as the median one is cut, so that it does not flatten all others."""


@dataclass(frozen=True)
class IntervalRow:
    """A configuration against the baseline. Without enough seeds, ``interval`` is None."""

    name: str
    estimate: float
    interval: Interval | None
    is_different: bool


@dataclass(frozen=True)
class IntervalPlot:
    """One metric of a comparison, as its interval plot shows it.

    ``num_left_out`` counts configurations that are not shown: they have no difference, or a lower accuracy by
    validation than those that are.
    """

    metric: Metric
    baseline: str
    confidence: float
    rows: tuple[IntervalRow, ...]
    num_left_out: int

    @property
    def title(self) -> str:
        """Return what is drawn, such as ``test_accuracy, difference from optimizer.lr=0.1 in points``."""
        name, baseline = self.metric.name, self.baseline
        if self.metric.is_ratio:
            return f"{name}, ratio to {baseline}"
        unit = "points" if self.metric.unit == "fraction" else self.metric.unit
        return f"{name}, difference from {baseline}{f' in {unit}' if unit else ''}"

    @property
    def limits(self) -> tuple[float, float]:
        """Return the positions of the axis' ends. No difference lies between them, and so does every estimate."""
        estimates = [self.position(row.estimate) for row in self.rows]
        ends = [
            (self.position(row.interval.low), self.position(row.interval.high)) for row in self.rows if row.interval
        ]
        reach = max(REACH * median(max(map(abs, pair)) for pair in ends), *map(abs, estimates))
        low = max(min(0.0, *estimates, *(low for low, _ in ends)), -reach)
        high = min(max(0.0, *estimates, *(high for _, high in ends)), reach)
        return (low, high) if low < high else (-1.0, 1.0)

    def position(self, value: float) -> float:
        """Return where a value is on the axis, from no difference on: for a ratio its logarithm."""
        return math.log(max(value, 1e-300)) if self.metric.is_ratio else value

    def value(self, position: float) -> float:
        """Return the value at a position."""
        return math.exp(position) if self.metric.is_ratio else position


def interval_plot(comparison: Comparison, metric: Metric, *, max_rows: int = MAX_LINES) -> IntervalPlot | None:
    """Return the plot of a metric, or None if no configuration has an interval.

    Of more than ``max_rows`` configurations, those with the highest accuracy by validation are shown.
    """
    others = [row for row in comparison.rows if not row.is_baseline]
    known = [row for row in others if row.cells[metric.name].contrast]
    best = sorted(known, key=lambda row: row.val_accuracy or 0.0, reverse=True)[:max_rows]
    shown = {row.name for row in best}
    rows = tuple(_row(row, metric) for row in known if row.name in shown)
    if not any(row.interval for row in rows):
        return None
    baseline = comparison.baseline.display_name
    return IntervalPlot(metric, baseline, comparison.confidence, rows, len(others) - len(rows))


def _row(row: Row, metric: Metric) -> IntervalRow:
    cell = row.cells[metric.name]
    contrast = cell.contrast
    assert contrast is not None  # noqa: S101 - only such rows are shown
    return IntervalRow(row.display_name, contrast.estimate, contrast.interval, cell.verdict.kind in DIFFERENT)


@dataclass(frozen=True)
class Marks:
    """The characters of a plot in text."""

    line: str
    low: str
    high: str
    zero: str
    crossing: str
    different: str
    other: str
    beyond_low: str
    beyond_high: str


UNICODE = Marks("─", "├", "┤", "│", "┼", "●", "○", "◀", "▶")
ASCII = Marks("-", "[", "]", "|", "+", "*", "o", "<", ">")


def plot_lines(plot: IntervalPlot, *, width: int, marks: Marks = UNICODE) -> tuple[str, ...]:
    """Return the plot as lines of at most ``width`` characters.

    If a line has no room for a name, its bar and its numbers, the bar stands below the other two.
    """
    names = max(len(row.name) for row in plot.rows)
    numbers = max(len(_numbers(row, plot)) for row in plot.rows)
    bar = width - names - numbers - 2 * GAP
    is_wide = width >= MIN_WIDTH and bar >= MIN_BAR
    rows = _side_by_side(plot, names, bar, marks) if is_wide else _stacked(plot, width, marks)
    legend = f"{marks.different} different   {marks.other} no difference shown"
    title = f"{plot.title}, {formatting.percent(plot.confidence)} intervals"
    more = f"{plot.num_left_out} more in the table" if plot.num_left_out else ""
    texts = (line for text in (legend, more) if text for line in textwrap.wrap(text, width))
    return (*textwrap.wrap(title, width), *rows, *texts)


def _side_by_side(plot: IntervalPlot, names: int, bar: int, marks: Marks) -> Iterator[str]:
    for row in plot.rows:
        yield f"{row.name:<{names + GAP}}{_bar(row, plot, bar, marks)}{' ' * GAP}{_numbers(row, plot)}"
    yield f"{' ' * (names + GAP)}{_axis(plot, bar)}".rstrip()


def _stacked(plot: IntervalPlot, width: int, marks: Marks) -> Iterator[str]:
    for row in plot.rows:
        numbers = _numbers(row, plot)
        line = f"{row.name}{' ' * GAP}{numbers}"
        yield from (line,) if len(line) <= width else (*textwrap.wrap(row.name, width), f"{' ' * GAP}{numbers}")
        yield _bar(row, plot, width, marks).rstrip()
    yield _axis(plot, width).rstrip()


def _numbers(row: IntervalRow, plot: IntervalPlot) -> str:
    low_high = (row.interval.low, row.interval.high) if row.interval else ()
    ends = ", ".join(formatting.size(end, plot.metric) for end in low_high)
    return f"{formatting.size(row.estimate, plot.metric)}{f' [{ends}]' if ends else ''}"


def _bar(row: IntervalRow, plot: IntervalPlot, width: int, marks: Marks) -> str:
    cells = [" "] * width
    if row.interval:
        ends = [plot.position(end) for end in (row.interval.low, row.interval.high)]
        low, high = (_column(end, plot, width) for end in ends)
        cells[low : high + 1] = marks.line * (high + 1 - low)
        cells[low] = marks.low if ends[0] >= plot.limits[0] else marks.beyond_low
        cells[high] = marks.high if ends[1] <= plot.limits[1] else marks.beyond_high
    zero = _column(0.0, plot, width)
    cells[zero] = {" ": marks.zero, marks.line: marks.crossing}.get(cells[zero], cells[zero])
    cells[_column(plot.position(row.estimate), plot, width)] = marks.different if row.is_different else marks.other
    return "".join(cells)


def _column(position: float, plot: IntervalPlot, width: int) -> int:
    low, high = plot.limits
    return round(min(max((position - low) / (high - low), 0.0), 1.0) * (width - 1))


def _axis(plot: IntervalPlot, width: int) -> str:
    """Return the values at no difference and at the ends, as far as there is room for them."""
    zero = "1" if plot.metric.is_ratio else "0"
    column = _column(0.0, plot, width)
    low, high = (formatting.size(plot.value(end), plot.metric) for end in plot.limits)
    before = f"{low:<{column}}" if len(low) < column else " " * column
    after = width - column - len(zero)
    return f"{before}{zero}{high if len(high) < after else '':>{after}}"
