"""What a person sees while variants take turns: a line for each round.

On a terminal a bar stands below the lines. It is drawn where turns begin and end and never by the clock, since the
drawing would take time from what is timed.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from benchbench.cli.grid_display import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from benchbench.protocol.timing import Round, TimingJob


class TimedDisplay:
    """Shows one timing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._num_warmed = 0
        self._began = 0.0

    @contextmanager
    def shown(self, job: TimingJob) -> Iterator[None]:
        """Show a bar of turns while the block runs, on a terminal; a warm-up is a turn too."""
        self._order = job
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
        with Progress(*columns, console=self._console, auto_refresh=False, expand=True) as self._bar:
            self._task: TaskID = self._bar.add_task("", total=(job.rounds + 1) * len(job.names))
            yield
        self._bar = None

    def note(self, text: str) -> None:
        """Show a line that is no result."""
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def status(self, text: str) -> None:
        """Show what comes next: on the bar, or as a line before the first round."""
        if self._bar:
            self._bar.update(self._task, description=text, refresh=True)
        elif self._num_warmed < len(self._order.names):
            self.note(text)

    def warmed(self) -> None:
        """Count a variant that is warm."""
        self._num_warmed += 1
        self._began = time.monotonic()
        self._advance(self._num_warmed)

    def round(self, done: Round) -> None:
        """Show such as ``round 3/10: sgd 61.2 s, adam 90.1 s (0:12:30 left)``."""
        times = ", ".join(
            f"{name} {turn.epoch_seconds:.3g} s" for name, turn in zip(self._order.names, done.turns, strict=True)
        )
        left = (time.monotonic() - self._began) / done.number * (self._order.rounds - done.number)
        noisy = f"; noisy: other processes took {done.other_cpu_fraction:.0%}" if done.is_noisy else ""
        ahead = f" ({duration(left)} left)" if done.number < self._order.rounds else ""
        self._console.print(Text(f"round {done.number}/{self._order.rounds}: {times}{noisy}{ahead}"), soft_wrap=True)
        self._advance((done.number + 1) * len(self._order.names))

    def _advance(self, num_turns: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=num_turns, refresh=True)
