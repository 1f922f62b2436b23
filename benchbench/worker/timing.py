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
from benchbench.protocol.jobs import TrialOrder
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
    from benchbench.protocol.timing import TimeOrder, TimingEvent
    from benchbench.worker.setup import Prepared
    from benchbench.worker.train import Pulse

SETTLING_STEPS = 2
"""Untimed steps of each variant between the warm-up, which gives memory back, and the first round."""


def time_variants(
    order: TimeOrder, registry: Registry, *, pulse: Pulse, on_stage: Callable[[str], None] = lambda _: None
) -> Iterator[TimingEvent]:
    """Yield each variant as it is warm, each round, and the end.

    Raises a :class:`~benchbench.errors.BenchError` before the first warm-up where a variant cannot be trained, and a
    :class:`~benchbench.errors.TrialError` for what goes wrong after it.
    """
    with memory_errors_named():
        _rehearse(order, registry, pulse)
        variants = [
            _Variant(order, spec, registry, on_stage=partial(_named, name, on_stage))
            for name, spec in zip(order.names, order.specs, strict=True)
        ]
    try:
        with memory_errors_named():
            yield from _warm_up(order, variants, pulse, on_stage)
            yield from _rounds(order, variants, pulse, on_stage)
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

    def __init__(self, order: TimeOrder, spec: Spec, registry: Registry, *, on_stage: Callable[[str], None]) -> None:
        acceleration = accelerate(choose_device(order.device), spec.precision)
        self._spec = spec
        self._steps = order.steps
        self._clock = Clock(acceleration.synchronize())
        self._num_turns = 0
        self.footprint = Footprint(acceleration.device)
        trial = TrialOrder(
            # A schedule may end with its last epoch, and there may be more turns than epochs.
            spec=replace(spec, epochs=max(spec.epochs, order.rounds + 2)),
            attempt="",
            device=order.device,
            data_root=order.data_roots[spec.dataset.name],
            folder="",
            plugin_files=order.plugin_files,
        )
        with self.footprint:
            self.prepared = prepare(trial, registry, acceleration, on_stage=on_stage)
        if order.steps and order.steps > self.steps_per_epoch:
            raise SpecError(
                f"--steps {order.steps} is more than an epoch has: {self.steps_per_epoch} at"
                f" batch size {spec.batch_size}",
                hint="without --steps whole epochs are timed",
            )

    @property
    def steps_per_epoch(self) -> int:
        return len(self.prepared.train)

    def warm(self, pulse: Pulse) -> Warmed:
        """Take an untimed turn."""
        with self.footprint:
            self.turn(pulse)
        return Warmed(
            started=replace(self.prepared.started, spec=self._spec),
            steps_per_epoch=self.steps_per_epoch,
            peak_memory_bytes=self.footprint.peak_bytes,
            memory_method=self.footprint.method,
        )

    def settle(self, pulse: Pulse) -> None:
        """Take a few steps that nobody times."""
        self._train(min(SETTLING_STEPS, self.steps_per_epoch), pulse)

    def turn(self, pulse: Pulse) -> Turn:
        """Train, and validate where a turn is a whole epoch."""
        return self._epoch(pulse) if self._steps is None else self._train(self._steps, pulse)

    def _epoch(self, pulse: Pulse) -> Turn:
        prepared, number = self._begin()
        # Not asked for more than this epoch: a loss that is not finite ends a trial, and is a caution here.
        epoch = next(
            fit(
                prepared.learner,
                prepared.train,
                prepared.val,
                seed=self._spec.seed,
                epochs=range(number, number + 1),
                clock=self._clock,
                pulse=pulse,
            )
        )
        return Turn(
            epoch_seconds=epoch.train_seconds + epoch.eval_seconds,
            train_seconds=epoch.train_seconds,
            eval_seconds=epoch.eval_seconds,
            images_per_second=epoch.images_per_second,
            is_finite=math.isfinite(epoch.train_loss) and math.isfinite(epoch.val_loss),
        )

    def _train(self, steps: int, pulse: Pulse) -> Turn:
        prepared, number = self._begin()
        batches = islice(prepared.train.shuffled(seed=self._spec.seed, epoch=number), steps)
        before = self._clock.seconds("train")
        with self._clock.phase("train"):
            trained = train_epoch(prepared.learner, batches, pulse=pulse)
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


def _named(name: str, on_stage: Callable[[str], None], text: str) -> None:
    on_stage(f"{name}: {text}")


def _rehearse(order: TimeOrder, registry: Registry, pulse: Pulse) -> None:
    """Take a few steps that count for nothing: what a process sets up once is not the first variant's memory."""
    with suppress(StoppedError):
        _Variant(order, order.specs[0], registry, on_stage=lambda _: None).settle(pulse)


def _warm_up(
    order: TimeOrder, variants: list[_Variant], pulse: Pulse, on_stage: Callable[[str], None]
) -> Iterator[TimingEvent]:
    for name, variant in zip(order.names, variants, strict=True):
        on_stage(f"{name}: warming up")
        yield variant.warm(pulse)
    for variant in variants:
        variant.settle(pulse)


def _rounds(
    order: TimeOrder, variants: list[_Variant], pulse: Pulse, on_stage: Callable[[str], None]
) -> Iterator[TimingEvent]:
    places = range(len(variants))
    for number in range(1, order.rounds + 1):
        turns: dict[int, Turn] = {}
        before = ProcessorTime.now()
        for place in places if number % 2 else reversed(places):
            on_stage(f"round {number}/{order.rounds}: {order.names[place]}")
            turns[place] = variants[place].turn(pulse)
        share = ProcessorTime.now().share_of_others(before)
        yield Round(number, tuple(turns[place] for place in places), other_cpu_share=share)
