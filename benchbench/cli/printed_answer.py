"""The answer of a comparison: its sentences, and its interval plot."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from benchbench.cli.output import print_lines, terminal_width
from benchbench.errors import plain

if TYPE_CHECKING:
    from benchbench.compare import Comparison

WIDTH_WITHOUT_TERMINAL = 80


def print_answer(comparison: Comparison, form: str) -> None:
    """Print the answer of a comparison; in the format ``table``, also the interval plot of its first metric."""
    from benchbench.compare.answer import answer
    from benchbench.compare.interval_plot import ASCII, UNICODE, interval_plot, plot_lines

    print_lines((*answer(comparison), ""), form)
    plot = interval_plot(comparison, comparison.metrics[0]) if form == "table" else None
    if plot:
        is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        width = terminal_width() or WIDTH_WITHOUT_TERMINAL
        for line in plot_lines(plot, width=width, marks=UNICODE if is_unicode else ASCII):
            typer.echo(plain(line))
        typer.echo()
