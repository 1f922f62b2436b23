"""Drive an executor: what trials say goes to the journal first, then to the tracker, the display, the listeners."""

from __future__ import annotations

import signal
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from benchbench.errors import BenchError, TrialError
from benchbench.executors import Died, Output, Refused, Stage
from benchbench.journal import Journal
from benchbench.record import Error, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from benchbench.executors import Executor
    from benchbench.listeners import Listeners
    from benchbench.order import TrialOrder
    from benchbench.record import Event, Record


class Watcher(Protocol):
    """Someone who looks on, such as the terminal."""

    def stage(self, text: str) -> None:
        """See what the trial is busy with."""

    def note(self, text: str) -> None:
        """See a line that is no result: a plugin's print, a trouble with tracking."""

    def event(self, event: Event, record: Record) -> None:
        """See an event, and the record with it."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with a record, or with the error that kept it from starting."""

    order: TrialOrder
    journal: Journal
    error: BenchError | None = None

    @property
    def record(self) -> Record | None:
        """Return the record, where the trial was started."""
        return None if self.error else self.journal.record()


def new_attempt() -> str:
    """Return a fresh attempt id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def drive(
    orders: Iterable[TrialOrder],
    executor: Executor,
    *,
    complete: Callable[[Journal], None],
    deliver: Callable[[Journal], None],
    watcher: Watcher,
    listeners: Listeners,
) -> list[Outcome]:
    """Run the orders and return how each ended, in the order in which they ended.

    ``complete`` adds to the artifacts of a trial that has ended, in whatever way; ``deliver`` is told of a journal
    whenever it has grown, and must not wait. SIGINT and SIGTERM stop the trials
    after their batch, a second one at once.
    """
    outcomes: list[Outcome] = []
    interrupts = _Interrupts(executor, watcher)
    with interrupts.caught():
        for order, message in executor.run(orders):
            journal = Journal.of(order.spec.id, order.attempt)
            match message:
                case Stage():
                    watcher.stage(message.text)
                case Output():
                    watcher.note(message.text)
                case Refused():
                    message.error.add_note(message.traceback)
                    outcomes.append(Outcome(order, journal, message.error))
                case Died() if not journal.exists():
                    outcomes.append(Outcome(order, journal, _died(message, interrupts)))
                case _:
                    event = _last_event(message, interrupts) if isinstance(message, Died) else message
                    journal.append(event)
                    record = journal.record()
                    watcher.event(event, record)
                    if record.status != "running":
                        complete(journal)
                    deliver(journal)
                    listeners.tell(event, record)
                    if record.status != "running":
                        outcomes.append(Outcome(order, journal))
    return outcomes


class _Interrupts:
    """SIGINT and SIGTERM: the first asks for a stop, the second brings it about."""

    def __init__(self, executor: Executor, watcher: Watcher) -> None:
        self.count = 0
        self._executor = executor
        self._watcher = watcher

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self.count += 1
        if self.count == 1:
            self._executor.stop()
            self._watcher.note("stopping after this batch; once more stops at once")
        else:
            self._executor.kill()


def _died(death: Died, interrupts: _Interrupts) -> BenchError:
    return TrialError("stopped before the trial began" if interrupts.count else death.reason)


def _last_event(death: Died, interrupts: _Interrupts) -> Failed:
    if interrupts.count:
        return Failed(status="killed", error=Error(kind="StoppedError", message="stopped at once on request"))
    return Failed(
        status="failed",
        error=Error(
            kind="WorkerDiedError",
            message=death.reason,
            hint="if memory ran out, a smaller --batch-size or dataset.image_size needs less",
        ),
    )
