"""What you see while trials run or variants are timed: lines and, on a terminal, bars below them.

The lines are the same with and without a terminal, and fit into 80 columns as far as the names in them do.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.text import Text

from benchbench.cli.progress_bars import Bars
from benchbench.cli.trial_lines import duration, epoch_line, headline, look_lines, plan_line, starting_note, trial_line
from benchbench.config.differences import describe_spec
from benchbench.driver.grid_result import varying_names
from benchbench.driver.watcher import Watcher
from benchbench.errors import plain
from benchbench.records.events import EpochFinished, Failed, Finished, Resumed, Started
from benchbench.records.tracebacks import full_text, is_debugging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from rich.console import Console, RenderableType

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.driver.plan import Planned
    from benchbench.protocol.jobs import TimingJob, TrialJob
    from benchbench.protocol.timing_messages import Round
    from benchbench.records.events import Epoch, Event
    from benchbench.records.record import Record

_WAITING = frozenset({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
"""Environment variables that say how threads wait: whoever sets one knows of it."""


class Display(Watcher):
    """Shows what all commands have in common. Use as a context manager."""

    _has_advised = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Bars(self._console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()
        self._bars = None

    def status(self, text: str) -> None:
        """Show it on a bar."""
        if self._bars:
            self._bars.hide("download", "pieces")
            self._bars.show("status", text)

    def note(self, text: str) -> None:
        """Show it as a dim line."""
        self._print(Text(text, style="dim"))

    def fault(self, text: str, error: Exception) -> None:
        """Show the text and, with ``--debug``, where the error was raised."""
        self.note(full_text(error) + text if is_debugging() else text)

    def downloading(self, dataset: str, num_bytes: int, total_bytes: int) -> None:
        """Show it on a bar."""
        if self._bars:
            self._bars.hide("status")
            text = f"downloading {dataset}"
            self._bars.show("download", text, completed=num_bytes / 1e6, total=total_bytes / 1e6, unit="MB")

    def decoding(self, text: str, num_decoded: int, num_images: int) -> None:
        """Show a bar of images."""
        if self._bars:
            self._bars.hide("status")
            self._bars.show("pieces", text, completed=num_decoded, total=num_images, unit="image")

    @contextmanager
    def training(self, jobs: Sequence[TrialJob], num_trained: Callable[[], Mapping[str, int]]) -> Iterator[None]:
        """Let the bars read the batches while the block runs."""
        del jobs
        if self._bars:
            self._bars.num_trained = num_trained
        try:
            yield
        finally:
            if self._bars:
                self._bars.num_trained = dict

    def _advise_if_noisy(self, epoch: Epoch, record: Record) -> None:
        """Say once a call how trials on a CPU get faster if other processes take the processor."""
        is_advised = self._has_advised or not _WAITING.isdisjoint(os.environ)
        if epoch.noisy and not is_advised and record.machines[-1].device == "cpu":
            self._has_advised = True
            self.note(
                f"other processes use the processor (load {os.getloadavg()[0]:.0f}): OMP_WAIT_POLICY=passive may train"
                " many times faster beside them (docs/settings.md, On a shared machine)"
            )

    def _print(self, line: RenderableType) -> None:
        if isinstance(line, Text):
            line.plain = plain(line.plain)
        self._console.print(line, soft_wrap=True)


class RunDisplay(Display):
    """Shows one trial: a line for each epoch."""

    _attempt = ""

    def planned(self, plan: Sequence[Planned], *, num_jobs: int) -> None:
        """Say what is not begun from its beginning, and why."""
        del num_jobs
        for item in plan:
            if item.shorter:
                self.note(item.why)
            elif item.action == "resume":
                self.note(f"{item.why}: resuming it (--fresh starts over)")
            elif item.action == "skip":
                self.note(f"{item.why}: it is not trained again (--fresh starts over)")

    def trial_status(self, job: TrialJob, text: str) -> None:
        """Show what the trial is busy with: on its bar, or as a line if there is none."""
        if self._bars is None:
            self._print(Text(f"{text} ..."))
        else:
            self._bars.hide("status", "pieces")
            self._bars.show(job.folder, text)

    def trial_progress(self, job: TrialJob, text: str, done: int, total: int) -> None:
        """Show it on a bar."""
        if self._bars:
            self._bars.hide(job.folder)
        self.decoding(text, done, total)

    def event(self, job: TrialJob, event: Event, record: Record) -> None:
        """Show an event."""
        match event:
            case Started() | Resumed():
                if record.attempt != self._attempt:
                    self._print(Text(headline(record), style="bold"))
                self._attempt = record.attempt
                if text := starting_note(event, record):
                    self.note(text)
                if self._bars:
                    self._bars.hide("status", "pieces", job.folder)
                    self._bars.show(job.folder, "training", total=_num_batches(record), unit="batch")
            case EpochFinished():
                self._print(Text(epoch_line(event.epoch, record)))
                self._advise_if_noisy(event.epoch, record)
                if self._bars:
                    best = max(epoch.val_accuracy for epoch in record.epochs)
                    text = f"epoch {len(record.epochs)}/{record.spec.epochs}  best val {best:.1%}"
                    self._bars.show(job.folder, text)
            case Finished() | Failed():
                if self._bars:
                    self._bars.hide(job.folder)
                    self._bars.show("status", "drawing figures and sending to MLflow")

    def repeated(self, job: TrialJob, epoch: Epoch, record: Record) -> None:
        """Show a line like that of its first time."""
        del job
        self.note(f"{epoch_line(epoch, record)}  again")


class GridDisplay(Display):
    """Shows a grid: its plan, then a line for each trial that ends."""

    def __init__(self, console: Console, *, lists_trials: bool = False, gives_reasons: bool = False) -> None:
        super().__init__(console)
        self._lists_trials = lists_trials
        self._gives_reasons = gives_reasons
        self._names: Sequence[str] = ("seed",)
        self._num_trials = self._num_ended = 0
        self._started = 0.0
        self._adds_seeds = False

    def looked(self, progress: AdaptiveProgress) -> None:
        """Print the design, and after each look what it decided."""
        self._adds_seeds = True
        for line in look_lines(progress):
            self._print(Text(line))

    def planned(self, plan: Sequence[Planned], *, num_jobs: int) -> None:
        """Print how many trials are done, to resume and to run, and each of them if that is wanted."""
        self._names = varying_names([item.resolved.spec for item in plan])
        self._print(plan_line(plan, num_jobs=num_jobs, is_most=self._adds_seeds))
        if not self._lists_trials:
            return
        for item in plan:
            action = ("stale" if item.stale else "done") if item.action == "skip" else item.action
            reason = item.why if self._gives_reasons else "running elsewhere" if item.is_elsewhere else ""
            line = f"  {action:6}  {describe_spec(item.resolved.spec, self._names)}"
            self._print(Text(f"{line}  ({reason})" if reason else line))

    @contextmanager
    def training(self, jobs: Sequence[TrialJob], num_trained: Callable[[], Mapping[str, int]]) -> Iterator[None]:
        """Show a bar of all trials while the block runs."""
        self._num_trials, self._num_ended, self._started = len(jobs), 0, time.monotonic()
        if self._bars:
            self._bars.hide("status", "pieces")
            self._bars.show("grid", total=len(jobs), unit="trials")
        with super().training(jobs, num_trained):
            yield
        if self._bars:
            self._bars.hide("grid")
            self._bars.show("status", "keeping the best model and sending to MLflow")

    def trial_status(self, job: TrialJob, text: str) -> None:
        """Show what a trial is busy with, on its bar."""
        if self._bars:
            self._bars.show_in_row(job.folder, f"{describe_spec(job.spec, self._names)}  {text}")

    def trial_progress(self, job: TrialJob, text: str, done: int, total: int) -> None:
        """Show it on a bar."""
        if self._bars:
            self._bars.show_in_row(job.folder, text, total=total, unit="image")
            self._bars.show(job.folder, completed=done)

    def event(self, job: TrialJob, event: Event, record: Record) -> None:
        """Show an event of a trial."""
        match event:
            case Started() | Resumed():
                if self._bars:
                    text = describe_spec(job.spec, self._names)
                    self._bars.show_in_row(job.folder, text, total=_num_batches(record), unit="batch")
                if text := starting_note(event, record):
                    self.note(f"{describe_spec(job.spec, self._names)}: {text}")
            case EpochFinished():
                self._advise_if_noisy(event.epoch, record)
            case Finished() | Failed():
                self._end(job, record)

    def finished_elsewhere(self, job: TrialJob, record: Record) -> None:
        """Show the end of a trial of another call."""
        self._end(job, record, note="  (trained by another process)")

    def _end(self, job: TrialJob, record: Record, *, note: str = "") -> None:
        self._num_ended += 1
        left = self._num_trials - self._num_ended
        seconds = (time.monotonic() - self._started) / self._num_ended * left
        ahead = f"  ({duration(seconds)} left)" if left else ""
        position = f"[{self._num_ended}/{self._num_trials}]"
        self._print(Text(f"{position} {describe_spec(job.spec, self._names)}: {trial_line(record)}{note}{ahead}"))
        if self._bars:
            self._bars.hide(job.folder)
            self._bars.show("grid", completed=self._num_ended, seconds_left=seconds)


class TimingDisplay(Display):
    """Shows a timing: a line for each round.

    While variants are timed, the bar is drawn between measurements and never on a timer, since drawing it would slow
    down what is timed.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._job: TimingJob | None = None
        self._num_warmed = 0
        self._began = 0.0

    @contextmanager
    def timing(self, job: TimingJob) -> Iterator[None]:
        """Show a bar of measurements while the block runs; a warm-up counts as one."""
        self._job = job
        if self._bars:
            self._bars.stop()
            self._bars = Bars(self._console, auto_refresh=False)
            self._bars.start()
            self._bars.show("timing", total=(job.rounds + 1) * len(job.names))
        yield
        if self._bars:
            self._bars.hide("timing")

    def timing_status(self, text: str) -> None:
        """Show what comes next: on the bar, or as a line before the first round."""
        if self._bars:
            self._bars.show("timing", text)
            self._bars.refresh()
        elif self._job and self._num_warmed < len(self._job.names):
            self.note(text)

    def timing_progress(self, text: str, done: int, total: int) -> None:
        """Show it on the bar."""
        if self._bars:
            self._bars.show("timing", f"{text} {done}/{total}")
            self._bars.refresh()

    def warmed(self) -> None:
        """Count a variant that is warmed up."""
        self._num_warmed += 1
        self._began = time.monotonic()
        self._advance(self._num_warmed)

    def round(self, finished: Round) -> None:
        """Show such as ``round 3/10: sgd 61.2 s, adam 90.1 s (0:12:30 left)``."""
        assert self._job is not None  # noqa: S101 - rounds come while the block of timing() runs
        times = ", ".join(
            f"{name} {each.epoch_seconds:.3g} s"
            for name, each in zip(self._job.names, finished.measurements, strict=True)
        )
        left = (time.monotonic() - self._began) / finished.number * (self._job.rounds - finished.number)
        noisy = f"; noisy: other processes took {finished.other_fraction:.0%}" if finished.is_noisy else ""
        ahead = f" ({duration(left)} left)" if finished.number < self._job.rounds else ""
        self._print(Text(f"round {finished.number}/{self._job.rounds}: {times}{noisy}{ahead}"))
        self._advance((finished.number + 1) * len(self._job.names))

    def _advance(self, num_measured: int) -> None:
        if self._bars:
            self._bars.show("timing", completed=num_measured)
            self._bars.refresh()


def _num_batches(record: Record) -> int:
    return math.ceil(record.data.splits["train"].num_images / record.spec.batch_size) * record.spec.epochs
