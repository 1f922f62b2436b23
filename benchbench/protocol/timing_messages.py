"""What a worker reports while it times variants in interleaved rounds, and the whole of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from benchbench.records.events import Started, now_ms
from benchbench.records.noise import judge_noise

if TYPE_CHECKING:
    from benchbench.protocol.jobs import TimingJob


@dataclass(frozen=True)
class Warmed:
    """A variant is warmed up.

    ``peak_memory_bytes`` is what the variant added to the process at its peak: images, network, optimizer,
    activations; not Python and torch. It was ``sampled`` from the process, or ``counted`` by the device's allocator.
    """

    started: Started
    steps_per_epoch: int
    peak_memory_bytes: int
    memory_method: Literal["sampled", "counted"]
    event: Literal["warmed"] = "warmed"


@dataclass(frozen=True)
class Measurement:
    """One variant in one round. ``epoch_seconds`` are those of an epoch: measured, or scaled up from some steps.

    ``train_seconds`` are those that were measured. ``images_per_second`` are the training images of an epoch by the
    seconds that their training takes. ``is_finite`` is about the losses.
    """

    epoch_seconds: float
    train_seconds: float
    eval_seconds: float
    images_per_second: float
    is_finite: bool


@dataclass(frozen=True)
class Round:
    """One measurement of each variant. They are listed in the order of the variants, not in that of measuring.

    ``other_cpu_fraction`` is the fraction of all processors' time that other processes took meanwhile, None if that is
    not known, as of a short round; ``other_gpu_fraction`` is that of the GPU, if ``on_gpu``.
    """

    number: int
    measurements: tuple[Measurement, ...]
    other_cpu_fraction: float | None
    other_gpu_fraction: float | None = None
    on_gpu: bool = False
    timestamp_ms: int = field(default_factory=now_ms)
    event: Literal["round"] = "round"

    @property
    def other_fraction(self) -> float:
        """The larger of what other processes took of the processors and of the GPU, as far as it is known."""
        return max(self.other_cpu_fraction or 0.0, self.other_gpu_fraction or 0.0)

    @property
    def is_noisy(self) -> bool | None:
        """Whether other processes took so much that the times say little; None if it is not known."""
        return judge_noise(self.other_cpu_fraction, self.other_gpu_fraction, on_gpu=self.on_gpu)


@dataclass(frozen=True)
class TimingEnded:
    """All rounds are done, or the timing was stopped."""

    is_stopped: bool
    event: Literal["ended"] = "ended"


TimingEvent = Annotated[Warmed | Round | TimingEnded, Field(discriminator="event")]


@dataclass(frozen=True)
class Timing:
    """A timing: the job, each variant's warm-up, and the complete rounds."""

    job: TimingJob
    warmed: tuple[Warmed, ...]
    rounds: tuple[Round, ...]
    is_stopped: bool

    def measurements(self, variant: int) -> tuple[Measurement, ...]:
        """Return the measurements of a variant, given by its index, by round."""
        return tuple(each.measurements[variant] for each in self.rounds)

    @property
    def epoch_seconds(self) -> dict[str, tuple[float, ...]]:
        """Return the seconds of an epoch by variant, then by round."""
        return {
            name: tuple(measurement.epoch_seconds for measurement in self.measurements(variant))
            for variant, name in enumerate(self.job.names)
        }

    @property
    def num_noisy(self) -> int:
        """Return the number of noisy rounds."""
        return sum(bool(each.is_noisy) for each in self.rounds)
