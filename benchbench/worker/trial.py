"""One trial from start to end, as a stream of events."""

from __future__ import annotations

import time
import traceback
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from benchbench.data.split_arrays import SPLIT_NAMES
from benchbench.errors import BenchError, CheckpointError, RunningElsewhereError, SpecError, StoppedError, counted
from benchbench.plugin.failures import TRACEBACK_HINT, line_in_plugin
from benchbench.protocol.messages import no_status
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.events import EpochFinished, Error, Failed, Finished, Resumed, Started
from benchbench.records.journal import Journal
from benchbench.records.redaction import without_credentials
from benchbench.records.state import GOES_ON, locked
from benchbench.worker import checkpoint
from benchbench.worker.accelerate import accelerate, choose_device, give_back_memory, peak_bytes, reset_peak
from benchbench.worker.artifacts import write_artifacts
from benchbench.worker.checkpoint import UnreadableStateError
from benchbench.worker.checkpoint_cadence import Cadence, expected_seconds
from benchbench.worker.clock import Clock
from benchbench.worker.compilation import describe_compiled, forget_compiled
from benchbench.worker.final_evaluation import final_of
from benchbench.worker.out_of_memory import memory_errors_named
from benchbench.worker.resume_notes import resume_note
from benchbench.worker.setup import prepare
from benchbench.worker.stopping import StopsLosingNothing
from benchbench.worker.subnormal_weights import slow_epoch_note
from benchbench.worker.system_metrics import SystemSampler, is_noisy
from benchbench.worker.train import BatchCounter, are_undefined, evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchbench.plugin.registry import Registry
    from benchbench.protocol.jobs import TrialJob
    from benchbench.protocol.messages import OnStatus
    from benchbench.records.events import Epoch, Event
    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.train import Evaluation

LOCK_SECONDS = 15
"""How long to wait for another process that holds the trial; an orphan ends within two."""

POLL_SECONDS = 0.2


def run_trial(
    job: TrialJob, registry: Registry, *, counter: BatchCounter, on_status: OnStatus = no_status
) -> Iterator[Event]:
    """Yield the events of one trial: started or resumed, each epoch, and finished or failed.

    Raises a :class:`~benchbench.errors.BenchError` before the first event if the trial cannot be started;
    after it, whatever happens is the last event. A trial that is resumed yields the epochs of its checkpoint again.
    """
    with ExitStack() as stack:
        # A checkpoint is read in the preparation. A trial that begins leaves nothing before it is ready.
        if job.resume:
            stack.enter_context(_alone(job))
            _check_not_finished([] if job.repeats_end else [Journal(Path(job.folder))])
        with memory_errors_named():
            began = _began(job)
            acceleration = _acceleration(job, began)
            clock = Clock(acceleration.synchronize)
            with clock.phase("load"):
                forget_compiled()
                give_back_memory()
                ready = prepare(job, registry, acceleration, on_status=on_status)
        if not job.resume:
            stack.enter_context(_alone(job))
            _check_not_finished(_other_attempts(job, data_digest=ready.started.data.digest))
        yield from _Trial(job, ready, began, clock=clock, counter=counter, on_status=on_status).run()


def _check_not_finished(journals: Iterable[Journal]) -> None:
    """Raise :class:`SpecError` if another call has finished the trial since this one planned it.

    The worker of that call may have ended before its driver has written so.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    for journal in journals:
        if not journal.exists():
            continue
        while _is_ending(journal) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if journal.record().status == "finished":
            raise SpecError(
                "another process has just finished this trial", hint="run the same command again, which finds it done"
            )


def _other_attempts(job: TrialJob, *, data_digest: str) -> Iterator[Journal]:
    """Yield the attempts of other calls at a trial that begins, after whose end it need not be trained."""
    if job.others is None:
        return
    for path in Path(job.folder).parent.glob(f"*/{file_names.EVENTS}"):
        journal = Journal(path.parent)
        is_new = journal.attempt not in job.others.finished_before
        if is_new and journal.is_of(job.others.destination, data_digest=data_digest):
            yield journal


def _is_ending(journal: Journal) -> bool:
    record = journal.record()
    is_trained = record.status == "running" and len(record.epochs) == record.spec.epochs
    return is_trained and journal.is_in_use()


def _began(job: TrialJob) -> Started | None:
    """Return the first event of a trial that is resumed, or of the shorter one that is continued."""
    shorter = None if job.resume else job.continues
    if not (job.resume or shorter):
        return None
    event = next(Journal(Path(shorter.folder if shorter else job.folder)).events(), None)
    return event if isinstance(event, Started) else None


def _acceleration(job: TrialJob, began: Started | None) -> Acceleration:
    """Return how the trial is computed here; one that is resumed is computed as before."""
    training, device = job.training, choose_device(job.training.device)
    chosen = accelerate(device, job.spec.precision, mode=training.accelerate, compiled=training.compile)
    if began is None:
        return chosen
    # The machine of a trial that continues another is that one's, which may have had another kind of device.
    has_moved = began.machine.device.partition(":")[0] != device.type
    num_threads = chosen.num_threads if has_moved else began.machine.num_threads
    return chosen.as_recorded(began.acceleration, num_threads=num_threads)


class _Trial:
    """A trial that is ready, on its way to the end."""

    def __init__(
        self,
        job: TrialJob,
        ready: ReadyTrial,
        began: Started | None,
        *,
        clock: Clock,
        counter: BatchCounter,
        on_status: OnStatus,
    ) -> None:
        self._job = job
        self._ready = ready
        self._group_sizes = checkpoint.group_sizes_of(ready.learner.optimizer)
        self._began = began
        self._clock = clock
        self._counter = counter
        self._on_status = on_status
        self._checkpoint = Path(job.folder) / file_names.CHECKPOINT
        self._shorter = None if job.resume and self._checkpoint.exists() else job.continues
        self._cadence = Cadence(job.training.checkpoint_every, first_cost_seconds=expected_seconds(ready.learner))
        self._epochs: list[EpochFinished] = []
        self._notes: list[str] = []
        self._can_resume = True
        self._num_saved = 0
        self._has_noted_slow_epoch = False
        self._split_name = "val"

    def run(self) -> Iterator[Event]:
        """Yield all events of the trial."""
        if not self._job.resume:
            yield self._started()
        if self._job.resume or self._job.continues:
            yield self._resume()
        try:
            with memory_errors_named(self._memory_needed):
                yield from self._epochs
                if self._epochs and self._shorter:
                    self._save_checkpoint(is_due=True)  # from now on it is resumed from its own
                yield from self._train()
                yield self._finish()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the trial ends, the worker does not
            yield Failed(
                status="killed" if isinstance(error, StoppedError) else "failed",
                error=_describe(error, self._ready.learner.acceleration),
                times=self._clock.times(is_failing=True),
                notes=tuple(self._notes),
            )

    def _started(self) -> Started:
        """Return the first event: a trial that continues another began on that one's machine, and moved from there."""
        started = self._ready.started
        if self._began is None or not self._ready.epochs:
            return started
        return replace(started, machine=self._began.machine)

    def _memory_needed(self) -> str:
        """Return what needed the memory that ran out, for the error message; empty if it was no batch."""
        ready = self._ready
        if self._clock.failed_phase == "train":
            return f"in a training step of {ready.train.batch_size} images"
        if self._clock.failed_phase == "eval":
            return f"evaluating {self._split_name} in batches of {ready.val.eval_batch_size} images"
        return ""

    def _resume(self) -> Resumed:
        """Count the epochs trained before, and return the event with notes on what changed since the trial began."""
        ready = self._ready
        self._epochs = list(ready.epochs)
        self._num_saved = len(self._epochs)
        self._clock.add(ready.times)
        self._counter.restart(num_trained=len(self._epochs) * len(ready.train))
        note = resume_note(self._job, ready, began=self._began, shorter=self._shorter)
        return Resumed(num_epochs=len(self._epochs), machine=ready.started.machine, note=note)

    def _train(self) -> Iterator[Event]:
        spec = self._job.spec
        self._on_status("training")
        device = self._ready.learner.acceleration.device
        counter = StopsLosingNothing(self._counter, self._on_status)
        reset_peak(device)
        # Graphs of a GPU allocate when they are recorded. While they are replayed, torch counts their memory as free.
        keeps_peak = device.type == "cuda" and self._ready.learner.acceleration.compiled
        with SystemSampler(device) as sampler:
            for epoch in fit(
                self._ready.learner,
                self._ready.train,
                self._ready.val,
                seed=spec.seed,
                epochs=range(len(self._epochs) + 1, spec.epochs + 1),
                clock=self._clock,
                counter=counter,
            ):
                system = sampler.means()
                measured = replace(
                    epoch, peak_memory_bytes=peak_bytes(device), noisy=is_noisy(system, on_gpu=device.type == "cuda")
                )
                self._epochs.append(EpochFinished(epoch=measured, system=system))
                self._note_slow_epoch(measured)
                if not keeps_peak:
                    reset_peak(device)
                yield self._epochs[-1]
                # An epoch that is not finite ends the trial: its weights are not worth the last good checkpoint.
                if epoch.is_finite:
                    self._save_checkpoint(is_due=counter.is_stopping())
                    is_at_risk = self._can_resume and self._num_saved < len(self._epochs)
                    counter.ended(epoch, is_at_risk=is_at_risk)
                    counter.check()

    def _note_slow_epoch(self, epoch: Epoch) -> None:
        """Note why an epoch was slow, once, if that is to be seen in the weights."""
        learner = self._ready.learner
        if self._has_noted_slow_epoch or learner.acceleration.device.type != "cpu" or epoch.noisy:
            return
        fastest = min(done.epoch.train_seconds for done in self._epochs)
        note = slow_epoch_note(epoch.epoch, epoch.train_seconds, fastest, learner.model.parameters())
        if note:
            self._has_noted_slow_epoch = True
            self._notes.append(note)
            self._on_status(note)

    def _save_checkpoint(self, *, is_due: bool = False) -> None:
        is_last = len(self._epochs) == self._job.spec.epochs
        times = self._clock.times()
        if not self._can_resume or not (is_due or is_last or self._cadence.is_due(times.wall)):
            return
        try:
            with self._clock.phase("checkpoint"):
                checkpoint.save(
                    self._checkpoint,
                    self._ready.learner,
                    tuple(self._epochs),
                    started=self._ready.started,
                    times=times,
                    group_sizes=self._group_sizes,
                )
        except UnreadableStateError as error:
            self._can_resume = False
            self._notes.append(f"{error.message}; {error.hint}")
            self._on_status(self._notes[-1])
            return
        self._num_saved = len(self._epochs)
        after = self._clock.times()
        self._cadence.written(after.wall, cost_seconds=after.checkpoint - times.checkpoint)

    def _finish(self) -> Finished:
        learner = self._ready.learner
        if learner.best is not None:
            learner.best.restore(learner.evaluated)
        self._on_status("evaluating on train, val and test")
        with self._clock.phase("eval"):
            evaluations = {split_name: self._evaluate(split_name) for split_name in SPLIT_NAMES}
        final = final_of(self._ready, [event.epoch for event in self._epochs], evaluations)
        num_undefined = int(are_undefined(evaluations["test"].logits).sum())
        if num_undefined:
            images = counted(num_undefined, "test image has", "test images have")
            self._notes.append(f"{images} logits that are not finite, which counts as wrong")
        compiled = describe_compiled()
        if compiled:
            self._notes.append(compiled)
        if kept_at(self._job.training.artifacts):
            self._on_status("writing artifacts")
            try:
                self._notes += write_artifacts(
                    self._job, self._ready, evaluations["test"].logits, counter=self._counter
                )
            except OSError as error:
                # A full disk is no fault of the trial, which goes on from the checkpoint of its last epoch.
                raise CheckpointError(f"the files of the trial cannot be written: {error}", hint=GOES_ON) from error
        return Finished(final=final, times=self._clock.times(), notes=tuple(self._notes))

    def _evaluate(self, split_name: str) -> Evaluation:
        self._split_name = split_name
        return evaluate(
            self._ready.learner,
            getattr(self._ready, split_name),
            counter=self._counter,
            keeps_logits=split_name == "test",
        )


@contextmanager
def _alone(job: TrialJob) -> Iterator[None]:
    """Hold the lock of the trial: a worker of an earlier call may still be ending."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(Path(job.folder).parent / file_names.TRIAL_LOCK, timeout=LOCK_SECONDS))
        except Timeout:
            raise RunningElsewhereError(
                "this trial is already running in another process", hint="bench runs list shows which trials run"
            ) from None
        yield


def _describe(error: Exception, acceleration: Acceleration) -> Error:
    """Return why a trial ended; what a plugin raises may name the address of a database with its password."""
    if isinstance(error, BenchError):
        described = Error(**error.to_json())
    else:
        source_line = line_in_plugin(error)
        first, *others = f"{type(error).__name__}: {error}".splitlines()
        described = Error(
            kind=type(error).__name__,
            message="\n".join([first + source_line, *others]),
            hint=_hint(error, acceleration) or (TRACEBACK_HINT if source_line else ""),
            traceback=traceback.format_exc(),
        )
    message, trace = without_credentials(described.message), without_credentials(described.traceback)
    return replace(described, message=message, traceback=trace)


def _hint(error: Exception, acceleration: Acceleration) -> str:
    """Return what helps a network that needs the order in memory of plain PyTorch, in a step that no proof has seen."""
    reorders = any(lever.fact in ("convolutions", "memory_format") for lever in acceleration.levers)
    if reorders and "view size is not compatible" in str(error):
        return "--accelerate off keeps tensors contiguous as plain PyTorch does; reshape() takes any tensor"
    return ""
