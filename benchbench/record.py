"""Events (what a trial says while it runs) and records (what it leaves), and their JSON.

A record is nothing but its events folded together: :meth:`Record.of` can be called on any beginning of a journal.
Numbers that are not finite are written as the strings ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, with_config

from benchbench.machine import Machine  # noqa: TC001 - pydantic reads the annotations
from benchbench.spec import Spec  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Literal[1] = 1
CONTENDED_SHARE = 0.05
"""How much of all cores' time other processes may take before times are not to be trusted; a tenth of one of two."""

Status = Literal["running", "finished", "failed", "killed"]
T = TypeVar("T")


_adapters: dict[object, TypeAdapter[Any]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return what reads and writes values of a type as JSON; building one takes up to 25 ms, so it is kept."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def now_ms() -> int:
    """Return the time of day in milliseconds since 1970, as MLflow counts it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class SplitFacts:
    """One split: its number of pictures and the digest of its pictures and labels."""

    num_images: int
    digest: str


@dataclass(frozen=True)
class DataFacts:
    """What was trained on. ``source`` is a file, folder or package; ``digest`` covers all pictures and labels."""

    digest: str
    class_names: tuple[str, ...]
    splits: dict[str, SplitFacts]
    source: str
    image_shape: tuple[int, int, int]
    """Of one picture as stored: channels, height, width."""


@dataclass(frozen=True)
class Epoch:
    """One epoch. Losses are means over pictures, accuracies shares 0..1, both of the training pass as it went.

    ``peak_memory_bytes``: the most that the process, or torch on a GPU, had in use. ``contended``: whether other
    processes took so much of the processor that the epoch's times say little.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    train_seconds: float
    eval_seconds: float
    images_per_second: float
    learning_rate: float
    peak_memory_bytes: int = 0
    contended: bool = False


@dataclass(frozen=True)
class Final:
    """The trained model, in eval mode and without flips, on each split; accuracies are shares 0..1."""

    train_accuracy: float
    train_loss: float
    val_accuracy: float
    val_loss: float
    test_accuracy: float
    test_loss: float
    test_top5_accuracy: float
    test_accuracy_per_label: dict[str, float]
    best_val_loss_epoch: int
    overfit_epoch: int | None


@dataclass(frozen=True)
class Times:
    """Seconds of a trial by phase. The phases add up to the wall clock; the first epoch is part of ``train``."""

    load: float = 0.0
    train: float = 0.0
    eval: float = 0.0
    checkpoint: float = 0.0
    other: float = 0.0
    wall: float = 0.0
    first_epoch_train: float = 0.0

    @property
    def overhead_share(self) -> float:
        """Return the share of the wall clock that is neither training nor evaluation."""
        return 1 - (self.train + self.eval) / self.wall if self.wall else 0.0

    @property
    def not_training_share(self) -> float:
        """Return the share of the wall clock that is not training."""
        return 1 - self.train / self.wall if self.wall else 0.0


@dataclass(frozen=True)
class Error:
    """Why a trial ended early. ``traceback`` is empty where the message says it all."""

    kind: str
    message: str
    hint: str = ""
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first event: all checks are passed and the first batch is next."""

    attempt: str
    spec: Spec
    data: DataFacts
    machine: Machine
    acceleration: dict[str, str]
    num_parameters: int
    plugin_origins: dict[str, str]
    plugin_sources: dict[str, str]
    """The sha256 of the source file of each plugin, by kind."""

    plugin_files: tuple[str, ...] = ()
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["started"] = "started"


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A trial that was interrupted goes on, after ``num_epochs`` epochs that need not be trained again.

    ``note`` says why it is not taken up where it was, if it is not.
    """

    num_epochs: int
    machine: Machine
    note: str = ""
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["resumed"] = "resumed"


@dataclass(frozen=True, kw_only=True)
class EpochFinished:
    """An epoch with its validation is over. ``system`` holds MLflow's ``system/`` metrics without that prefix."""

    epoch: Epoch
    system: dict[str, float]
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["epoch_finished"] = "epoch_finished"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The trial reached its end; its artifacts lie in the attempt's folder."""

    final: Final
    times: Times
    notes: tuple[str, ...] = ()
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["finished"] = "finished"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The trial ended early: ``killed`` where someone asked for it, ``failed`` otherwise."""

    status: Literal["failed", "killed"]
    error: Error
    times: Times | None = None
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["failed"] = "failed"


Event = Annotated[Started | Resumed | EpochFinished | Finished | Failed, Field(discriminator="event")]


@dataclass(frozen=True)
class MlflowRun:
    """Where a trial stands in MLflow."""

    tracking_uri: str
    experiment_id: str
    run_id: str


@with_config(ser_json_inf_nan="strings")
@dataclass(frozen=True, kw_only=True)
class Record:
    """What a trial leaves, whole or cut short."""

    spec_id: str
    spec: Spec
    status: Status
    data_digest: str
    attempt: str
    started_ms: int
    ended_ms: int | None = None
    epochs: tuple[Epoch, ...] = ()
    final: Final | None = None
    times: Times | None = None
    error: Error | None = None
    notes: tuple[str, ...] = ()
    data: DataFacts
    machine: Machine
    acceleration: dict[str, str]
    num_parameters: int
    plugin_origins: dict[str, str]
    plugin_sources: dict[str, str]
    mlflow: MlflowRun | None = None
    format: Literal[1] = FORMAT

    @staticmethod
    def of(events: Iterable[Event]) -> Record:
        """Fold events, the first of which is :class:`Started`, into a record."""
        events = iter(events)
        started = next(events)
        if not isinstance(started, Started):
            raise TypeError(f"a journal begins with 'started', not {started.event!r}")
        record = Record(
            spec_id=started.spec.id,
            spec=started.spec,
            status="running",
            data_digest=started.data.digest,
            attempt=started.attempt,
            started_ms=started.timestamp_ms,
            data=started.data,
            machine=started.machine,
            acceleration=started.acceleration,
            num_parameters=started.num_parameters,
            plugin_origins=started.plugin_origins,
            plugin_sources=started.plugin_sources,
        )
        for event in events:
            record = record.then(event)
        return record

    def then(self, event: Event) -> Record:
        """Return the record with one more event."""
        match event:
            case Resumed():
                return replace(self, status="running", error=None, times=None, ended_ms=None)
            case EpochFinished() if event.epoch.epoch > len(self.epochs):
                return replace(self, epochs=(*self.epochs, event.epoch))
            case Finished():
                return replace(
                    self,
                    status="finished",
                    final=event.final,
                    times=event.times,
                    notes=event.notes,
                    ended_ms=event.timestamp_ms,
                )
            case Failed():
                return replace(
                    self, status=event.status, error=event.error, times=event.times, ended_ms=event.timestamp_ms
                )
            case _:
                return self

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the record as JSON text."""
        return adapter(Record).dump_json(self, indent=indent).decode()

    @staticmethod
    def from_json(text: str | bytes) -> Record:
        """Return the record that :meth:`to_json` wrote."""
        return adapter(Record).validate_json(text)


_EVENTS: TypeAdapter[Event] = TypeAdapter(Event, config={"ser_json_inf_nan": "strings"})


def event_to_json(event: Event) -> str:
    """Return an event as one line of JSON."""
    return _EVENTS.dump_json(event).decode()


def event_from_json(line: str | bytes) -> Event:
    """Return the event that :func:`event_to_json` wrote."""
    return _EVENTS.validate_json(line)
