"""Timings on standard output: a table, a sentence for each comparison, and what to be careful about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from benchbench.cli.tables import print_table
from benchbench.compare.words import percent
from benchbench.report.timings import images_per_second, turn_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.compare.timings import TimedRow, TimedTable
    from benchbench.protocol.timing import Timing

_MEGABYTE = 1e6
_METHODS = {
    "Student's t": "geometric means of the rounds' ratios, intervals by Student's t",
    "bootstrap": "medians of the rounds' ratios, intervals by percentile bootstrap",
}


def print_timings(timing: Timing, table: TimedTable) -> None:
    """Print a row for each variant, the verdicts, how they were made, and the warnings."""
    method = timing.warmed[0].memory_method
    numbers = ("seconds an epoch", "middle half", "images/s", f"memory, MB ({method})")
    columns = ("variant", *numbers, f"ratio [{percent(table.confidence)}]")
    print_table(columns, [_row(timing, row, place) for place, row in enumerate(table.rows)], numbers=numbers)
    for row in table.rows:
        if row.ratio:
            typer.echo(row.verdict)
    typer.echo(
        f"n = {table.n} rounds by turns, each {turn_text(timing)}; ratios of times to {table.baseline}:"
        f" {_METHODS[table.method]}"
    )
    for warning in warnings(timing):
        typer.echo(f"warning: {warning}")
    machine = timing.warmed[0].started.machine
    typer.echo(f"{machine.device}, {machine.device_name or machine.processor}, {machine.num_threads} threads")


def warnings(timing: Timing) -> Iterator[str]:
    """Yield what makes the times hard to trust."""
    if timing.is_stopped:
        yield f"stopped after {len(timing.rounds)} of {timing.job.rounds} rounds"
    if timing.num_noisy:
        shares = max(done.other_cpu_fraction for done in timing.rounds)
        yield (
            f"{timing.num_noisy} of {len(timing.rounds)} rounds were noisy: other processes took up to"
            f" {shares:.0%} of the processor"
        )
    for place, name in enumerate(timing.job.names):
        if not all(done.turns[place].is_finite for done in timing.rounds):
            yield f"the loss of {name} did not stay finite; its time is that of steps that learn nothing"


def _row(timing: Timing, row: TimedRow, place: int) -> tuple[str, ...]:
    found = row.ratio
    ratio = f"{found.estimate:.3f}" if found else "baseline"
    if found and found.interval:
        ratio += f" [{found.interval.low:.3f}, {found.interval.high:.3f}]"
    return (
        row.name,
        f"{row.median:.4g}",
        f"{row.middle_half.low:.4g} .. {row.middle_half.high:.4g}",
        f"{images_per_second(timing, place):,.0f}",
        f"{timing.warmed[place].peak_memory_bytes / _MEGABYTE:,.0f}",
        ratio,
    )
