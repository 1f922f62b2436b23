"""One trial from start to end, as a stream of events."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.errors import BenchError, SpecError
from benchbench.protocol.heartbeat import StoppedError
from benchbench.records import files
from benchbench.records.events import Epoch, EpochFinished, Error, Failed, Final, Finished, Resumed, Started
from benchbench.records.journal import Journal
from benchbench.worker import artifacts, checkpoint
from benchbench.worker.accelerate import accelerate, choose_device, give_back_memory, peak_bytes, reset_peak
from benchbench.worker.checkpoint import CheckpointError
from benchbench.worker.clock import Clock
from benchbench.worker.setup import memory_errors_named, prepare
from benchbench.worker.system import SystemSampler, is_noisy
from benchbench.worker.train import Progress, evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from benchbench.plugin.registry import Registry
    from benchbench.protocol.jobs import TrialJob
    from benchbench.records.events import Event
    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.setup import Prepared

LOCK_SECONDS = 15
"""How long to wait for another process that holds the trial; an orphan ends within two."""

OVERFIT_MARGIN = 0.05
OVERFIT_EPOCHS = 3
"""How far above its least value the validation loss must stay, and for how long, for a trial to be overfitted."""


def run_trial(
    job: TrialJob, registry: Registry, *, heartbeat: Progress, on_status: Callable[[str], None] = lambda _: None
) -> Iterator[Event]:
    """Yield the events of one trial: started or resumed, each epoch, and finished or failed.

    Raises a :class:`~benchbench.errors.BenchError` before the first event where the trial cannot be started;
    after it, whatever happens is the last event. A trial that is resumed yields the epochs of its checkpoint again.
    """
    with memory_errors_named():
        began = _began(job)
        acceleration = _acceleration(job, began)
        give_back_memory()
        clock = Clock(acceleration.synchronize())
        with clock.phase("load"):
            prepared = prepare(job, registry, acceleration, on_status=on_status)
    with _alone(job):
        yield from _Trial(job, prepared, began, clock=clock, heartbeat=heartbeat, on_status=on_status).run()


def _began(job: TrialJob) -> Started | None:
    """Return how the trial began that is resumed."""
    event = next(Journal(Path(job.folder)).events(), None) if job.resume else None
    return event if isinstance(event, Started) else None


def _acceleration(job: TrialJob, began: Started | None) -> Acceleration:
    """Return how the trial is computed here; one that is resumed goes on as it began."""
    chosen = accelerate(choose_device(job.device), job.spec.precision, compiled=job.compiled)
    if began is None:
        return chosen
    return chosen.as_recorded(began.acceleration, num_threads=began.machine.num_threads)


def overfit_epoch(epochs: Sequence[Epoch]) -> int | None:
    """Return the epoch from which on a trial overfits, or None.

    It is the first epoch after that of least validation loss, from which on to the end, and for three epochs at
    least, the validation loss stays more than 5 % above the least, while the training loss ends below what it was at
    the least.
    """
    least = min(epochs, key=lambda epoch: epoch.val_loss)
    above = list(
        takewhile(
            lambda epoch: epoch.epoch > least.epoch and epoch.val_loss > least.val_loss * (1 + OVERFIT_MARGIN),
            reversed(epochs),
        )
    )
    is_overfit = len(above) >= OVERFIT_EPOCHS and epochs[-1].train_loss < least.train_loss
    return above[-1].epoch if is_overfit else None


class _Trial:
    """A prepared trial on its way to the end."""

    def __init__(
        self,
        job: TrialJob,
        prepared: Prepared,
        began: Started | None,
        *,
        clock: Clock,
        heartbeat: Progress,
        on_status: Callable[[str], None],
    ) -> None:
        self._order = job
        self._prepared = prepared
        self._began = began
        self._clock = clock
        self._pulse = heartbeat
        self._on_status = on_status
        self._checkpoint = Path(job.folder) / files.CHECKPOINT
        self._cadence = checkpoint.Cadence(job.checkpoint_every_seconds)
        self._epochs: list[EpochFinished] = []

    def run(self) -> Iterator[Event]:
        """Yield all events of the trial."""
        yield self._resume() if self._order.resume else self._prepared.started
        try:
            with memory_errors_named():
                yield from self._epochs
                yield from self._train()
                yield self._finish()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the trial ends, the worker does not
            yield Failed(
                status="killed" if isinstance(error, StoppedError) else "failed",
                error=_describe(error),
                times=self._clock.times(),
            )

    def _resume(self) -> Resumed:
        """Go back to the checkpoint, or to the beginning where there is none that can be used."""
        started, note = self._prepared.started, _moved(self._began, self._prepared.started)
        if self._checkpoint.exists():
            try:
                found = checkpoint.load(self._checkpoint, started=started)
                found.restore(self._prepared.learner)
                self._epochs = list(found.epochs)
                self._clock.add(found.times)
            except CheckpointError as error:
                note = f"{error.message}; the trial starts again from its beginning"
        self._pulse.restart(num_trained=len(self._epochs) * len(self._prepared.train))
        return Resumed(num_epochs=len(self._epochs), machine=started.machine, note=note)

    def _train(self) -> Iterator[Event]:
        spec = self._order.spec
        self._on_status("training")
        device = self._prepared.learner.acceleration.device
        reset_peak(device)
        with SystemSampler(device) as sampler:
            for epoch in fit(
                self._prepared.learner,
                self._prepared.train,
                self._prepared.val,
                seed=spec.seed,
                epochs=range(len(self._epochs) + 1, spec.epochs + 1),
                clock=self._clock,
                heartbeat=self._pulse,
            ):
                system = sampler.means()
                told = replace(epoch, peak_memory_bytes=peak_bytes(device), noisy=is_noisy(system))
                self._epochs.append(EpochFinished(epoch=told, system=system))
                reset_peak(device)
                yield self._epochs[-1]
                self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        is_last = len(self._epochs) == self._order.spec.epochs
        times = self._clock.times()
        if not is_last and not self._cadence.is_due(times.wall):
            return
        with self._clock.phase("checkpoint"):
            checkpoint.save(
                self._checkpoint,
                self._prepared.learner,
                tuple(self._epochs),
                started=self._prepared.started,
                times=times,
            )
        after = self._clock.times()
        self._cadence.written(after.wall, cost_seconds=after.checkpoint - times.checkpoint)

    def _finish(self) -> Finished:
        self._on_status("evaluating on train, val and test")
        with self._clock.phase("eval"):
            final, test_logits = _final(self._prepared, [event.epoch for event in self._epochs], self._pulse)
        notes: tuple[str, ...] = ()
        if self._order.artifacts != "none":
            self._on_status("writing artifacts")
            notes = _stage_artifacts(self._order, self._prepared, test_logits)
        return Finished(final=final, times=self._clock.times(), notes=notes)


@contextmanager
def _alone(job: TrialJob) -> Iterator[None]:
    """Hold the lock of the trial: an orphan of an earlier call may still be ending."""
    folder = Path(job.folder).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise SpecError(
            "this trial is already running in another process", hint="bench runs list shows which trials run"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _moved(began: Started | None, now: Started) -> str:
    """Return a note on a trial that goes on otherwise than it began, since it is on another kind of device."""
    devices = [event.machine.device.partition(":")[0] for event in (began, now) if event]
    return "" if len(set(devices)) == 1 else f"it began on {devices[0]} and goes on on {devices[1]}"


def _final(prepared: Prepared, epochs: Sequence[Epoch], heartbeat: Progress) -> tuple[Final, Tensor]:
    """Return the accuracies of the trained model, and its logits ``[N, K]`` on the test images."""
    learner = prepared.learner
    train = evaluate(learner, prepared.train, heartbeat=heartbeat)
    val = evaluate(learner, prepared.val, heartbeat=heartbeat)
    test = evaluate(learner, prepared.test, heartbeat=heartbeat)
    labels = prepared.splits.test.labels
    correct = test.logits.argmax(dim=1) == labels
    top5 = test.logits.topk(min(5, test.logits.shape[1])).indices
    final = Final(
        train_accuracy=train.accuracy,
        train_loss=train.loss,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_top5_accuracy=float((top5 == labels[:, None]).any(dim=1).double().mean()),
        test_accuracy_per_class={
            name: float(correct[labels == number].double().mean())
            for number, name in enumerate(prepared.splits.class_names)
            if (labels == number).any()
        },
        best_val_loss_epoch=min(epochs, key=lambda epoch: epoch.val_loss).epoch,
        overfit_epoch=overfit_epoch(epochs),
    )
    return final, test.logits


def _stage_artifacts(job: TrialJob, prepared: Prepared, test_logits: Tensor) -> tuple[str, ...]:
    """Write what the run keeps; return notes on what could not be kept."""
    folder = Path(job.folder) / "artifacts"
    predictions = artifacts.Predictions(F.softmax(test_logits, dim=1), prepared.splits.test.labels)
    artifacts.stage(folder, predictions=predictions, splits=prepared.splits, level=job.artifacts)
    images, _ = next(prepared.test.in_order())
    model = prepared.learner.model
    problem = artifacts.save_layers(folder / files.LAYERS, model, images[:1])
    notes = [f"the layers were not listed: {problem}"] if problem else []
    if job.artifacts == "full":
        problem = artifacts.save_model(folder / "model", model, images[:2].cpu(), prepared.splits.class_names)
        notes += [f"the model was not saved: {problem}"] if problem else []
    return tuple(notes)


def _describe(error: Exception) -> Error:
    if isinstance(error, BenchError):
        return Error(**error.to_json())
    text = f"{type(error).__name__}: {error}"
    return Error(kind=type(error).__name__, message=text, traceback=traceback.format_exc())
