"""What a person sees while a trial runs and when it has ended: the same lines with and without a terminal.

On a terminal a bar with batches, epochs and the time left stands below the lines.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from benchbench.records.events import EpochFinished, Failed, Finished, Resumed, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console, RenderableType

    from benchbench.protocol.jobs import TrialJob
    from benchbench.records.events import Epoch, Event, Times
    from benchbench.records.record import Record


class _PulseBar(Progress):
    """A progress bar that reads the count of batches whenever it is drawn."""

    def __init__(self, console: Console, num_trained: Callable[[], int]) -> None:
        self._num_trained = num_trained
        self.trial: TaskID | None = None
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("batch {task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.trial is not None:
            self.update(self.trial, completed=self._num_trained())
        yield from super().get_renderables()


class Display:
    """Shows one trial."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: _PulseBar | None = None

    @contextmanager
    def shown(self, num_trained: Callable[[], int]) -> Iterator[None]:
        """Show a bar while the block runs, on a terminal; ``num_trained`` is asked whenever it is drawn."""
        if not self._console.is_terminal:
            yield
            return
        with _PulseBar(self._console, num_trained) as self._bar:
            yield
        self._bar = None

    def status(self, job: TrialJob, text: str) -> None:  # noqa: ARG002 - there is one trial only
        """Show what the trial is busy with: on the bar, or as a line where there is none."""
        if self._bar is None:
            self._print(Text(f"{text} ..."))
        elif self._bar.trial is not None:
            self._bar.update(self._bar.trial, description=text)

    def note(self, text: str) -> None:
        """Show a line that is no result."""
        self._print(Text(text, style="dim"))

    def event(self, job: TrialJob, event: Event, record: Record) -> None:  # noqa: ARG002 - see above
        """Show an event."""
        match event:
            case Started() | Resumed():
                self._print(Text(headline(record), style="bold"))
                if isinstance(event, Resumed):
                    self.note(event.note or f"going on after epoch {event.num_epochs}")
                self._start_bar(record)
            case EpochFinished():
                self._print(Text(epoch_line(event.epoch, record)))
                self._describe(record)
            case Finished() | Failed():
                self._end_bar()

    def _print(self, line: RenderableType) -> None:
        self._console.print(line, soft_wrap=True)

    def _start_bar(self, record: Record) -> None:
        if self._bar:
            batches = math.ceil(record.data.splits["train"].num_images / record.spec.batch_size)
            self._bar.trial = self._bar.add_task("training", total=batches * record.spec.epochs)

    def _describe(self, record: Record) -> None:
        if self._bar and self._bar.trial is not None:
            best = max(record.epochs, key=lambda epoch: epoch.val_accuracy)
            self._bar.update(
                self._bar.trial,
                description=f"epoch {len(record.epochs)}/{record.spec.epochs}"
                f"  best val {best.val_accuracy:.1%} (epoch {best.epoch})",
            )

    def _end_bar(self) -> None:
        if self._bar and self._bar.trial is not None:
            self._bar.remove_task(self._bar.trial)
            self._bar.trial = None


def headline(record: Record) -> str:
    """Return one line that says what is trained on what: ``alexnet (57.0 M parameters) on digits ...``."""
    spec, machine = record.spec, record.machine
    threads = f", {machine.num_threads} threads" if machine.device == "cpu" else f" ({machine.device_name})"
    return (
        f"{spec.model.name} ({record.num_parameters / 1e6:.1f} M parameters) on {spec.dataset.name},"
        f" {spec.optimizer.name}, batch {spec.batch_size}, seed {spec.seed};"
        f" {machine.device}{threads}, {spec.precision}"
    )


def epoch_line(epoch: Epoch, record: Record) -> str:
    """Return one line of the curve; ``*`` marks the best validation accuracy so far."""
    best = epoch.val_accuracy >= max(before.val_accuracy for before in record.epochs)
    width = len(str(record.spec.epochs))
    return (
        f"epoch {epoch.epoch:{width}}/{record.spec.epochs}"
        f"  train loss {epoch.train_loss:.4f} acc {epoch.train_accuracy:6.1%}"
        f"  val loss {epoch.val_loss:.4f} acc {epoch.val_accuracy:6.1%} {'*' if best else ' '}"
        f"  {epoch.train_seconds + epoch.eval_seconds:.1f} s  {epoch.images_per_second:.0f} img/s"
    )


def show_end(record: Record, console: Console, *, opens_with: str) -> None:
    """Print what a trial came to: accuracies, accuracy per class, times, and the line that opens it in MLflow."""
    if record.final is not None:
        console.print(per_class_table(record))
        final = record.final
        console.print(
            f"accuracy: train {final.train_accuracy:.1%}  val {final.val_accuracy:.1%}"
            f"  test {final.test_accuracy:.1%}  (top 5: {final.test_top5_accuracy:.1%})",
            style="bold",
        )
        overfits = f", overfits from epoch {final.overfit_epoch}" if final.overfit_epoch else ""
        console.print(f"least validation loss in epoch {final.best_val_loss_epoch}{overfits}")
    if record.times is not None:
        console.print(times_line(record.times))
    for note in record.notes:
        console.print(Text(f"note: {note}"))
    if record.error is not None:
        console.print(Text(f"{record.status}: {record.error.message}", style="bold"), soft_wrap=True)
        if record.error.hint:
            console.print(Text(f"  {record.error.hint}"), soft_wrap=True)
    if opens_with:
        console.print(Text(opens_with), soft_wrap=True)


def per_class_table(record: Record) -> Table:
    """Return test accuracy per class, in the order of the classes."""
    assert record.final is not None  # noqa: S101 - asked for finished trials only
    table = Table(title="test accuracy per class", title_justify="left", box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    table.add_column("")
    for class_name, accuracy in record.final.test_accuracy_per_class.items():
        table.add_row(Text(class_name), f"{accuracy:.1%}", "#" * round(20 * accuracy))
    return table


def times_line(times: Times) -> str:
    """Return where the time went, phase by phase."""
    phases = {
        "load": times.load,
        "train": times.train,
        "eval": times.eval,
        "checkpoint": times.checkpoint,
        "other": times.other,
    }
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in phases.items() if seconds)
    return f"time: {times.wall:.1f} s ({parts})"
