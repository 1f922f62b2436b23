"""How long an epoch takes: variants are measured in interleaved rounds in one process.

All variants stay in memory. Each is warmed up first; then each round measures every variant once, in an order that is
reversed from round to round. So a machine that becomes slower or faster meanwhile affects all variants alike.
"""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from benchbench.errors import BenchError, SpecError, StoppedError, TrialError
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import no_status
from benchbench.protocol.timing_messages import Measurement, Round, TimingEnded, Warmed
from benchbench.worker.accelerate import accelerate, choose_device, give_back_memory
from benchbench.worker.clock import Clock
from benchbench.worker.compilation import allow_variants, forget_compiled
from benchbench.worker.memory import Footprint
from benchbench.worker.out_of_memory import memory_errors_named
from benchbench.worker.setup import prepare
from benchbench.worker.system_metrics import ProcessorTime, SystemSampler, fraction_on_gpu
from benchbench.worker.torch_settings import GlobalHooks
from benchbench.worker.train import fit, train_epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.plugin.registry import Registry
    from benchbench.protocol.jobs import TimingJob
    from benchbench.protocol.messages import OnStatus
    from benchbench.protocol.timing_messages import TimingEvent
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.train import BatchCounter

SETTLING_STEPS = 2
"""Untimed steps of each variant before the first round: the warm-ups of the others have given memory back."""


def time_variants(
    job: TimingJob, registry: Registry, *, counter: BatchCounter, on_status: OnStatus = no_status
) -> Iterator[TimingEvent]:
    """Yield each variant when it is warmed up, each round, and the end.

    Raises a :class:`~benchbench.errors.BenchError` before the first warm-up if a variant cannot be trained, and a
    :class:`~benchbench.errors.TrialError` for what goes wrong after it.
    """
    forget_compiled()
    with memory_errors_named():
        _rehearse(job, registry, counter)
        give_back_memory()  # the device counts memory that torch keeps as used when it is asked whether images fit
        variants = [
            _Variant(job, index, registry, on_status=partial(_named, name, on_status))
            for index, name in enumerate(job.names)
        ]
    try:
        with memory_errors_named():
            yield from _warm_up(job, variants, counter, on_status)
            yield from _rounds(job, variants, counter, on_status)
    except StoppedError:
        yield TimingEnded(is_stopped=True)
    except BenchError as error:
        raise TrialError(error.message, hint=error.hint) from error
    except Exception as error:  # a plugin may raise anything
        raise TrialError(f"{type(error).__name__}: {error}", hint="--debug shows where") from error
    else:
        yield TimingEnded(is_stopped=False)


class _Variant:
    """A variant that is ready to train, and stays so from round to round."""

    def __init__(self, job: TimingJob, index: int, registry: Registry, *, on_status: OnStatus) -> None:
        allow_variants(len(job.specs))  # before each: a plugin may load Dynamo in its build
        spec = job.specs[index]
        mode = job.accelerate[index] if job.accelerate else "auto"
        acceleration = accelerate(choose_device(job.device), spec.precision, mode=mode)
        self._spec = spec
        self._steps = job.steps
        self._clock = Clock(acceleration.synchronize)
        self._num_measured = 0
        self.footprint = Footprint(acceleration.device)
        trial = TrialJob(
            # A schedule may end with its last epoch, and there may be more rounds than epochs.
            spec=replace(spec, epochs=max(spec.epochs, job.rounds + 2)),
            attempt="",
            data_root=job.data_roots[spec.dataset.name],
            folder="",
            plugin_files=job.plugin_files,
        )
        with self.footprint:
            self.ready = prepare(trial, registry, acceleration, on_status=on_status)
        self._hooks = GlobalHooks.registered()
        if job.steps and job.steps > self.steps_per_epoch:
            raise SpecError(
                f"--steps {job.steps} is more than an epoch has: {self.steps_per_epoch} at"
                f" batch size {spec.batch_size}",
                hint="without --steps whole epochs are timed",
            )

    @property
    def steps_per_epoch(self) -> int:
        return len(self.ready.train)

    def warm(self, counter: BatchCounter) -> Warmed:
        """Do once what each round measures."""
        with self.footprint:
            self.measure(counter)
        return Warmed(
            started=replace(self.ready.started, spec=self._spec),
            steps_per_epoch=self.steps_per_epoch,
            peak_memory_bytes=self.footprint.peak_bytes,
            memory_method=self.footprint.method,
        )

    def settle(self, counter: BatchCounter) -> None:
        """Take a few untimed steps."""
        self._train(min(SETTLING_STEPS, self.steps_per_epoch), counter)

    def measure(self, counter: BatchCounter) -> Measurement:
        """Train for the steps, or train and validate for an epoch."""
        return self._epoch(counter) if self._steps is None else self._train(self._steps, counter)

    def _epoch(self, counter: BatchCounter) -> Measurement:
        ready, epoch = self._begin()
        # Not asked for more than this epoch: a loss that is not finite ends a trial, and is a warning here.
        trained = next(
            fit(
                ready.learner,
                ready.train,
                ready.val,
                seed=self._spec.seed,
                epochs=range(epoch, epoch + 1),
                clock=self._clock,
                counter=counter,
            )
        )
        return Measurement(
            epoch_seconds=trained.train_seconds + trained.eval_seconds,
            train_seconds=trained.train_seconds,
            eval_seconds=trained.eval_seconds,
            images_per_second=trained.images_per_second,
            is_finite=trained.is_finite,
        )

    def _train(self, steps: int, counter: BatchCounter) -> Measurement:
        ready, epoch = self._begin()
        before = self._clock.seconds("train")
        with self._clock.phase("train"):
            # The order of all images is drawn once an epoch, however few steps it has.
            batches = ready.train.shuffled(seed=self._spec.seed, epoch=epoch)
        once = self._clock.seconds("train") - before
        with self._clock.phase("train"):
            trained = train_epoch(ready.learner, islice(batches, steps), counter=counter)
        seconds = self._clock.seconds("train") - before - once
        num_images = min(steps * self._spec.batch_size, ready.train.num_images)
        epoch_seconds = once + seconds * ready.train.num_images / num_images
        return Measurement(
            epoch_seconds=epoch_seconds,
            train_seconds=once + seconds,
            eval_seconds=0.0,
            images_per_second=ready.train.num_images / epoch_seconds,
            is_finite=math.isfinite(trained.loss),
        )

    def _begin(self) -> tuple[ReadyTrial, int]:
        """Restore settings that another variant may have changed; return what to train, and the number of the epoch."""
        self._num_measured += 1
        self.ready.learner.acceleration.apply()
        self._hooks.restore()
        return self.ready, self._num_measured


def _named(name: str, on_status: OnStatus, text: str, done: int = 0, total: int = 0) -> None:
    on_status(f"{name}: {text}", done, total)


def _rehearse(job: TimingJob, registry: Registry, counter: BatchCounter) -> None:
    """Take a few steps, so that what a process sets up once is not counted as memory of the first variant."""
    with suppress(StoppedError):
        _Variant(job, 0, registry, on_status=no_status).settle(counter)


def _warm_up(
    job: TimingJob, variants: list[_Variant], counter: BatchCounter, on_status: OnStatus
) -> Iterator[TimingEvent]:
    for name, variant in zip(job.names, variants, strict=True):
        on_status(f"{name}: warming up")
        yield variant.warm(counter)
    for variant in variants:
        variant.settle(counter)


def _rounds(
    job: TimingJob, variants: list[_Variant], counter: BatchCounter, on_status: OnStatus
) -> Iterator[TimingEvent]:
    indices, device = range(len(variants)), choose_device(job.device)
    on_gpu = device.type == "cuda"
    # On a CPU, a thread that samples would take time from what is timed.
    with SystemSampler(device) if on_gpu else nullcontext() as sampler:
        for round_number in range(1, job.rounds + 1):
            measurements: dict[int, Measurement] = {}
            before = ProcessorTime.now()
            for index in indices if round_number % 2 else reversed(indices):
                on_status(f"round {round_number}/{job.rounds}: {job.names[index]}")
                measurements[index] = variants[index].measure(counter)
            yield Round(
                round_number,
                tuple(measurements[index] for index in indices),
                other_cpu_fraction=ProcessorTime.now().fraction_of_others(before),
                other_gpu_fraction=fraction_on_gpu(sampler.means()) if sampler else None,
                on_gpu=on_gpu,
            )
