"""Where trials run: orders go in, messages come out. An executor knows no journal, no MLflow and no terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchbench.errors import BenchError
    from benchbench.order import TrialOrder
    from benchbench.record import Event
    from benchbench.spec import Draft, Spec


@dataclass(frozen=True)
class Stage:
    """What a trial is busy with, for people to read."""

    text: str


@dataclass(frozen=True)
class Output:
    """A line that a worker or a plugin in it printed."""

    text: str


@dataclass(frozen=True)
class Refused:
    """A trial could not be started; ``traceback`` is where it was found."""

    error: BenchError
    traceback: str


@dataclass(frozen=True)
class Died:
    """The process that ran a trial is gone; ``reason`` says what is known."""

    reason: str


class Executor(Protocol):
    """What drives trials; see :class:`benchbench.executors.local.LocalExecutor`."""

    def resolve(self, drafts: Iterable[Draft]) -> list[Spec]:
        """Return what the drafts mean with the plugins installed; raises what is wrong with the first bad one."""

    def run(
        self, orders: Iterable[TrialOrder]
    ) -> Iterator[tuple[TrialOrder, Event | Stage | Output | Refused | Died]]:
        """Yield what each trial says; the last of a trial is its last event, a refusal, or a death."""

    def stop(self) -> None:
        """Ask running trials to end after their batch, and start no more."""

    def kill(self) -> None:
        """End running trials at once."""

    def close(self) -> None:
        """Give back what the executor holds."""
