"""What a person sees while a grid runs: a line for each trial that ends and, on a terminal, a bar for each."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from benchbench.records.events import Failed, Finished, Resumed, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rich.console import Console, RenderableType

    from benchbench.protocol.jobs import TrialJob
    from benchbench.records.events import Event
    from benchbench.records.record import Record


class _Bars(Progress):
    """A bar for the grid and one for each running trial, which read the counts of batches when they are drawn."""

    def __init__(self, console: Console, progress: Callable[[], Mapping[str, int]]) -> None:
        self._batches_of = progress
        self.trials: dict[str, TaskID] = {}
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            console=console,
            refresh_per_second=4,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        batches = self._batches_of()
        for folder, task in tuple(self.trials.items()):
            self.update(task, completed=batches.get(folder, 0))
        yield from super().get_renderables()


class GridDisplay:
    """Shows the trials of a grid."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: _Bars | None = None
        self._total: TaskID | None = None
        self._labels: Mapping[str, str] = {}
        self._num_ended = 0
        self._started = 0.0

    @contextmanager
    def shown(self, labels: Mapping[str, str], progress: Callable[[], Mapping[str, int]]) -> Iterator[None]:
        """Show bars while the block runs, on a terminal.

        ``labels`` are what the trials are called, by the folder of their attempt; ``progress`` gives the batches of
        those that run.
        """
        self._labels, self._started = labels, time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        with _Bars(self._console, progress) as self._bars:
            self._total = self._bars.add_task("grid", total=len(labels), unit="trials")
            yield
        self._bars = None

    def status(self, job: TrialJob, text: str) -> None:
        """Show what a trial is busy with, on its bar."""
        if self._bars and job.folder in self._bars.trials:
            label = self._labels.get(job.folder, "")
            self._bars.update(self._bars.trials[job.folder], description=f"{label}  {text}")

    def note(self, text: str) -> None:
        """Show a line that is no result."""
        self._console.print(Text(text, style="dim"), soft_wrap=True)

    def event(self, job: TrialJob, event: Event, record: Record) -> None:
        """Show an event of a trial."""
        match event:
            case Started() | Resumed():
                self._begin(job, record)
                if isinstance(event, Resumed) and event.note:
                    self.note(event.note)
            case Finished() | Failed():
                self._end(job, record)

    def _begin(self, job: TrialJob, record: Record) -> None:
        if self._bars:
            batches = math.ceil(record.data.splits["train"].num_images / record.spec.batch_size)
            label = self._labels.get(job.folder, "")
            self._bars.trials[job.folder] = self._bars.add_task(
                label, total=batches * record.spec.epochs, unit="batches"
            )

    def _end(self, job: TrialJob, record: Record) -> None:
        self._num_ended += 1
        left = len(self._labels) - self._num_ended
        seconds = (time.monotonic() - self._started) / self._num_ended * left
        ahead = f"  ({duration(seconds)} left)" if left else ""
        position = f"[{self._num_ended}/{len(self._labels)}]"
        text = f"{position} {self._labels.get(job.folder, '')}: {trial_line(record)}{ahead}"
        self._console.print(Text(text), soft_wrap=True)
        if self._bars and self._total is not None:
            if job.folder in self._bars.trials:
                self._bars.remove_task(self._bars.trials.pop(job.folder))
            text = f"grid, {duration(seconds)} left" if left else "grid"
            self._bars.update(self._total, completed=self._num_ended, description=text)


def trial_line(record: Record) -> str:
    """Return how a trial ended: ``val 53.8 %  test 54.6 %  10:49``, or why it did not finish."""
    seconds = duration(record.times.wall) if record.times else ""
    if record.final is not None:
        return f"val {record.final.val_accuracy:.1%}  test {record.final.test_accuracy:.1%}  {seconds}"
    why = record.error.message.partition("\n")[0] if record.error else ""
    return f"{record.status} after {len(record.epochs)} epochs: {why}  {seconds}".rstrip()


def duration(seconds: float) -> str:
    """Return a length of time such as ``0:10:49``, or ``3.2 s`` below a minute."""
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004 - a minute
