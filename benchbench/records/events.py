"""Events: what a trial reports while it runs, and their JSON.

Numbers that are not finite are the strings ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter

from benchbench.config.spec import Spec
from benchbench.errors import BenchError
from benchbench.records.machine import Machine

Rank = tuple[float, float]
"""What trials are ranked by: validation accuracy, then the lower validation loss."""
WORST_RANK: Rank = (-1.0, float("-inf"))
"""The rank of a trial without results."""
MODEL_NOT_SAVED = "the model was not saved"
"""How the note begins of a trial whose model cannot be exported."""


def now_ms() -> int:
    """Return the time of day in milliseconds since 1970, as MLflow counts it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class SplitFacts:
    """One split: its number of images and the digest of its images and labels."""

    num_images: int
    digest: str


@dataclass(frozen=True)
class DataFacts:
    """What was trained on. ``source`` is a file, folder or package; ``digest`` covers all images and labels.

    The cache keeps the facts of decoded images: with a new field, raise the ``FORMAT`` of ``data/cache.py``.
    """

    digest: str
    class_names: tuple[str, ...]
    splits: dict[str, SplitFacts]
    source: str
    image_shape: tuple[int, int, int]
    """Of one image as stored: channels, height, width."""

    skipped: tuple[str, ...] = ()
    """Damaged files that were left out."""

    note: str = ""
    """What a user should know of how the images were split, and how many are in two splits."""


@dataclass(frozen=True)
class Epoch:
    """One epoch. Losses are means over images, accuracies fractions 0..1; those of training are taken as it goes.

    ``peak_memory_bytes``: the most that the process, or torch on a GPU, had in use. ``noisy``: whether other
    processes took so much of the processor that the epoch's times say little, None if it was too short to tell.
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
    noisy: bool | None = None

    @property
    def is_finite(self) -> bool:
        """Whether both losses are numbers; the weights of an epoch of which one is not are of no use."""
        return math.isfinite(self.train_loss) and math.isfinite(self.val_loss)

    @property
    def results(self) -> tuple[float, float, float, float]:
        """Return what an exact repetition has as well: losses and accuracies."""
        return (self.train_loss, self.train_accuracy, self.val_loss, self.val_accuracy)


def rank(val_accuracy: float, val_loss: float) -> Rank:
    """Return the rank of a trial of this accuracy and loss, so that equal accuracies have one order everywhere."""
    return (val_accuracy, -val_loss)


@dataclass(frozen=True)
class Final:
    """The network that a trial ends with, in eval mode and without augmentation, on each split.

    Accuracies are fractions 0..1. It is the network of ``selected_epoch``.
    """

    train_accuracy: float
    train_loss: float
    val_accuracy: float
    val_loss: float
    test_accuracy: float
    test_loss: float
    test_top5_accuracy: float
    test_accuracy_per_class: dict[str, float]
    best_val_loss_epoch: int
    overfit_epoch: int | None
    selected_epoch: int | None = None

    @property
    def rank(self) -> Rank:
        """Return the rank of the trial; the best trial has the highest."""
        return rank(self.val_accuracy, self.val_loss)


Phase = Literal["load", "train", "eval", "checkpoint", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""What a trial spends its time on."""


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

    def by_phase(self) -> dict[Phase, float]:
        """Return the seconds of each phase."""
        return {phase: getattr(self, phase) for phase in PHASES}

    @property
    def overhead_fraction(self) -> float:
        """Return the fraction of the wall clock that is neither training nor evaluation."""
        return 1 - (self.train + self.eval) / self.wall if self.wall else 0.0

    @property
    def not_training_fraction(self) -> float:
        """Return the fraction of the wall clock that is not training."""
        return 1 - self.train / self.wall if self.wall else 0.0


@dataclass(frozen=True)
class Error:
    """Why a trial ended early. ``traceback`` is empty if the message says it all."""

    kind: str
    message: str
    hint: str = ""
    traceback: str = ""

    def to_exception(self) -> BenchError:
        """Return the error to raise or to show, with the traceback as its note."""
        error = BenchError.from_json({"kind": self.kind, "message": self.message, "hint": self.hint})
        error.add_note(self.traceback)
        return error


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first event: all checks are passed and the first batch is next.

    ``note`` is what a user should know of the model before it is trained for hours.
    """

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
    note: str = ""
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["started"] = "started"


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """An interrupted trial goes on, after ``num_epochs`` epochs that need not be trained again.

    If it does not go on from its last checkpoint, ``note`` says why.
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
    """The trial ended early: ``killed`` if someone stopped it, ``failed`` otherwise."""

    status: Literal["failed", "killed"]
    error: Error
    times: Times | None = None
    notes: tuple[str, ...] = ()
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["failed"] = "failed"


Event = Annotated[Started | Resumed | EpochFinished | Finished | Failed, Field(discriminator="event")]


_EVENTS: TypeAdapter[Event] = TypeAdapter(Event, config={"ser_json_inf_nan": "strings"})


def event_to_json(event: Event) -> str:
    """Return an event as one line of JSON."""
    return _EVENTS.dump_json(event).decode()


def event_from_json(line: str | bytes) -> Event:
    """Return the event that :func:`event_to_json` wrote."""
    return _EVENTS.validate_json(line)
