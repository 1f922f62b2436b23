"""What ``bench time`` asks a worker for, and what the worker says while variants take turns.

Plain data, as jobs and events of trials are: the driver reads it without torch.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from benchbench.config.spec import Spec  # noqa: TC001
from benchbench.protocol.jobs import Accelerate  # noqa: TC001
from benchbench.records.adapter import adapter
from benchbench.records.events import NOISY_FRACTION, Started, now_ms


@dataclass(frozen=True)
class TimingJob:
    """The variants to time, and how.

    ``names`` are what the variants are called, ``data_roots`` the images by dataset. A turn is ``steps`` training
    steps, or a whole epoch with its validation for None. ``accelerate`` is that of each variant; without any, all are
    accelerated.
    """

    specs: tuple[Spec, ...]
    names: tuple[str, ...]
    rounds: int
    steps: int | None
    device: str
    data_roots: Mapping[str, str]
    plugin_files: tuple[str, ...] = ()
    accelerate: tuple[Accelerate, ...] = ()


@dataclass(frozen=True)
class Warmed:
    """A variant has had its untimed turn.

    ``peak_memory_bytes`` is what the variant added to the process at its highest: images, network, optimizer,
    activations; not Python and torch. It was ``sampled`` from the process, or ``counted`` by the device's allocator.
    """

    started: Started
    steps_per_epoch: int
    peak_memory_bytes: int
    memory_method: Literal["sampled", "counted"]
    event: Literal["warmed"] = "warmed"


@dataclass(frozen=True)
class Turn:
    """One timed turn. ``epoch_seconds`` are those of an epoch: measured, or scaled up from some steps.

    ``images_per_second`` are training images by ``train_seconds``. ``is_finite`` tells of the losses.
    """

    epoch_seconds: float
    train_seconds: float
    eval_seconds: float
    images_per_second: float
    is_finite: bool


@dataclass(frozen=True)
class Round:
    """A turn of each variant, in the order of the variants whatever the order in which they ran.

    ``other_cpu_fraction`` is the share of the processor, all cores, that other processes took meanwhile.
    """

    number: int
    turns: tuple[Turn, ...]
    other_cpu_fraction: float
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["round"] = "round"

    @property
    def is_noisy(self) -> bool:
        """Tell whether other processes took so much that the times may be theirs."""
        return self.other_cpu_fraction > NOISY_FRACTION


@dataclass(frozen=True)
class TimingEnded:
    """All rounds are done, or a stop was asked for."""

    is_stopped: bool
    event: Literal["ended"] = "ended"


@dataclass(frozen=True)
class Timing:
    """All that was said of an order: a warm-up of each variant, and the rounds that are whole."""

    job: TimingJob
    warmed: tuple[Warmed, ...]
    rounds: tuple[Round, ...]
    is_stopped: bool

    @property
    def epoch_seconds(self) -> dict[str, tuple[float, ...]]:
        """Return the seconds of an epoch by variant, then by round."""
        return {
            name: tuple(done.turns[place].epoch_seconds for done in self.rounds)
            for place, name in enumerate(self.job.names)
        }

    @property
    def num_noisy(self) -> int:
        """Return how many rounds were disturbed."""
        return sum(done.is_noisy for done in self.rounds)


TimingEvent = Annotated[Warmed | Round | TimingEnded, Field(discriminator="event")]


def timing_event_to_plain(event: TimingEvent) -> dict[str, Any]:
    """Return an event as plain data."""
    return cast("dict[str, Any]", _events().dump_python(event, mode="json"))


def timing_event_from_plain(data: dict[str, Any]) -> TimingEvent:
    """Return the event that :func:`timing_event_to_plain` described."""
    event: TimingEvent = _events().validate_python(data)
    return event


def _events() -> Any:
    return adapter(cast("type[TimingEvent]", TimingEvent))
