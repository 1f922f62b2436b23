"""How long an epoch takes: variants by turns in one process, so that a machine that drifts disturbs all alike.

All variants stay in memory. Each has an untimed turn first; then they take turns in rounds, in an order that is
reversed from round to round, so that what comes first is not always the same.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from benchbench.errors import BenchError, SpecError, TrialError
from benchbench.protocol.heartbeat import StoppedError
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.timing import Round, TimingEnded, Turn, Warmed
from benchbench.worker.accelerate import accelerate, choose_device
from benchbench.worker.clock import Clock
from benchbench.worker.memory import Footprint
from benchbench.worker.setup import memory_errors_named, prepare
from benchbench.worker.system import ProcessorTime
from benchbench.worker.train import fit, train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.config.spec import Spec
    from benchbench.plugin.registry import Registry
    from benchbench.protocol.timing import TimingEvent, TimingJob
    from benchbench.worker.setup import Prepared
    from benchbench.worker.train import Progress

SETTLING_STEPS = 2
"""Untimed steps of each variant between the warm-up, which gives memory back, and the first round."""


def time_variants(
    job: TimingJob, registry: Registry, *, heartbeat: Progress, on_status: Callable[[str], None] = lambda _: None
) -> Iterator[TimingEvent]:
    """Yield each variant as it is warm, each round, and the end.

    Raises a :class:`~benchbench.errors.BenchError` before the first warm-up where a variant cannot be trained, and a
    :class:`~benchbench.errors.TrialError` for what goes wrong after it.
    """
    with memory_errors_named():
        _rehearse(job, registry, heartbeat)
        variants = [
            _Variant(job, spec, registry, on_status=partial(_named, name, on_status))
            for name, spec in zip(job.names, job.specs, strict=True)
        ]
    try:
        with memory_errors_named():
            yield from _warm_up(job, variants, heartbeat, on_status)
            yield from _rounds(job, variants, heartbeat, on_status)
    except StoppedError:
        yield TimingEnded(is_stopped=True)
    except BenchError as error:
        raise TrialError(error.message, hint=error.hint) from error
    except Exception as error:
        raise TrialError(f"{type(error).__name__}: {error}", hint="--debug shows where") from error
    else:
        yield TimingEnded(is_stopped=False)


class _Variant:
    """A variant that is ready to train, and stays so from turn to turn."""

    def __init__(self, job: TimingJob, spec: Spec, registry: Registry, *, on_status: Callable[[str], None]) -> None:
        acceleration = accelerate(choose_device(job.device), spec.precision)
        self._spec = spec
        self._steps = job.steps
        self._clock = Clock(acceleration.synchronize())
        self._num_turns = 0
        self.footprint = Footprint(acceleration.device)
        trial = TrialJob(
            # A schedule may end with its last epoch, and there may be more turns than epochs.
            spec=replace(spec, epochs=max(spec.epochs, job.rounds + 2)),
            attempt="",
            device=job.device,
            data_root=job.data_roots[spec.dataset.name],
            folder="",
            plugin_files=job.plugin_files,
        )
        with self.footprint:
            self.prepared = prepare(trial, registry, acceleration, on_status=on_status)
        if job.steps and job.steps > self.steps_per_epoch:
            raise SpecError(
                f"--steps {job.steps} is more than an epoch has: {self.steps_per_epoch} at"
                f" batch size {spec.batch_size}",
                hint="without --steps whole epochs are timed",
            )

    @property
    def steps_per_epoch(self) -> int:
        return len(self.prepared.train)

    def warm(self, heartbeat: Progress) -> Warmed:
        """Take an untimed turn."""
        with self.footprint:
            self.turn(heartbeat)
        return Warmed(
            started=replace(self.prepared.started, spec=self._spec),
            steps_per_epoch=self.steps_per_epoch,
            peak_memory_bytes=self.footprint.peak_bytes,
            memory_method=self.footprint.method,
        )

    def settle(self, heartbeat: Progress) -> None:
        """Take a few steps that nobody times."""
        self._train(min(SETTLING_STEPS, self.steps_per_epoch), heartbeat)

    def turn(self, heartbeat: Progress) -> Turn:
        """Train, and validate where a turn is a whole epoch."""
        return self._epoch(heartbeat) if self._steps is None else self._train(self._steps, heartbeat)

    def _epoch(self, heartbeat: Progress) -> Turn:
        prepared, number = self._begin()
        # Not asked for more than this epoch: a loss that is not finite ends a trial, and is a warning here.
        epoch = next(
            fit(
                prepared.learner,
                prepared.train,
                prepared.val,
                seed=self._spec.seed,
                epochs=range(number, number + 1),
                clock=self._clock,
                heartbeat=heartbeat,
            )
        )
        return Turn(
            epoch_seconds=epoch.train_seconds + epoch.eval_seconds,
            train_seconds=epoch.train_seconds,
            eval_seconds=epoch.eval_seconds,
            images_per_second=epoch.images_per_second,
            is_finite=math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss),
        )

    def _train(self, steps: int, heartbeat: Progress) -> Turn:
        prepared, number = self._begin()
        batches = islice(prepared.train.shuffled(seed=self._spec.seed, epoch=number), steps)
        before = self._clock.seconds("train")
        with self._clock.phase("train"):
            trained = train_epoch(prepared.learner, batches, heartbeat=heartbeat)
        seconds = self._clock.seconds("train") - before
        num_images = min(steps * self._spec.batch_size, prepared.train.num_images)
        return Turn(
            epoch_seconds=seconds * prepared.train.num_images / num_images,
            train_seconds=seconds,
            eval_seconds=0.0,
            images_per_second=num_images / seconds,
            is_finite=math.isfinite(trained.loss),
        )

    def _begin(self) -> tuple[Prepared, int]:
        """Set what a variant before this one may have set otherwise; return what to train and the epoch's number."""
        self._num_turns += 1
        self.prepared.learner.acceleration.apply()
        return self.prepared, self._num_turns


def _named(name: str, on_status: Callable[[str], None], text: str) -> None:
    on_status(f"{name}: {text}")


def _rehearse(job: TimingJob, registry: Registry, heartbeat: Progress) -> None:
    """Take a few steps that count for nothing: what a process sets up once is not the first variant's memory."""
    with suppress(StoppedError):
        _Variant(job, job.specs[0], registry, on_status=lambda _: None).settle(heartbeat)


def _warm_up(
    job: TimingJob, variants: list[_Variant], heartbeat: Progress, on_status: Callable[[str], None]
) -> Iterator[TimingEvent]:
    for name, variant in zip(job.names, variants, strict=True):
        on_status(f"{name}: warming up")
        yield variant.warm(heartbeat)
    for variant in variants:
        variant.settle(heartbeat)


def _rounds(
    job: TimingJob, variants: list[_Variant], heartbeat: Progress, on_status: Callable[[str], None]
) -> Iterator[TimingEvent]:
    places = range(len(variants))
    for number in range(1, job.rounds + 1):
        turns: dict[int, Turn] = {}
        before = ProcessorTime.now()
        for place in places if number % 2 else reversed(places):
            on_status(f"round {number}/{job.rounds}: {job.names[place]}")
            turns[place] = variants[place].turn(heartbeat)
        share = ProcessorTime.now().share_of_others(before)
        yield Round(number, tuple(turns[place] for place in places), other_cpu_fraction=share)
