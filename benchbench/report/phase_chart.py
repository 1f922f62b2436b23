"""Where the time of each configuration went, as a chart."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from benchbench.report import chart_style, run_figures
from benchbench.report.chart_style import Chart
from benchbench.report.drawing import Figure, mark

if TYPE_CHECKING:
    from benchbench.report.subject import Subject

NAME_CHARACTERS = 26
HATCHES = {"load": "//", "train": "", "eval": "\\\\", "checkpoint": "xx", "other": "--"}


def phase_chart(subject: Subject) -> Chart:
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
                chart_style.mean(getattr(record.times, phase) for record in records if record.times)
                for _, records in rows
            ]
            seconds = np.nan_to_num(values)
            bars = axes.barh(
                range(len(rows)),
                seconds,
                left=starts,
                height=0.6,
                label=phase,
                color=chart_style.color(number),
                hatch=hatch,
            )
            for bar, (name, _), value in zip(bars, rows, seconds, strict=True):
                mark(bar, f"{name}, {phase}: {value:.2f} s")
            starts += seconds
        run_figures.name_rows(axes, [name for name, _ in rows])
        # Whole, since configurations may differ in the last of many words.
        axes.set_yticks(range(len(rows)), names, fontsize=9)
        axes.set_xlabel("seconds")
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
        return figure

    return Chart.of("phases", draw, widths=(chart_style.HALF_INCHES, chart_style.NARROW_INCHES))
