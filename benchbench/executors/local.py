"""Trials in worker processes on this machine, each of which imports torch once and then serves trial after trial."""

from __future__ import annotations

import itertools
import os
import queue
import signal
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.errors import DeviceError, TrialError
from benchbench.executors import Executor
from benchbench.executors.gpus import VISIBLE
from benchbench.executors.worker_process import WorkerProcess
from benchbench.protocol.messages import (
    Died,
    Output,
    Refused,
    Resolve,
    ResolvedSpecs,
    Retiring,
    RunTrial,
    Status,
    TimeVariants,
    TimingUpdate,
    about_trial,
)
from benchbench.protocol.timing_messages import TimingEnded
from benchbench.records.events import Failed, Finished
from benchbench.records.processors import num_processors

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchbench.config.spec import Draft
    from benchbench.protocol.jobs import Resolved, TimingJob, TrialJob
    from benchbench.protocol.messages import Answer, TrialMessage
    from benchbench.protocol.timing_messages import TimingEvent

_WAKE_SECONDS = 0.5


class LocalExecutor(Executor):
    """Runs trials on this machine, ``num_jobs`` at a time. Use as a context manager.

    Workers start, and begin to import torch, as soon as the executor is made. If there are several jobs, each worker
    gets one of ``gpus``, which are named as in ``CUDA_VISIBLE_DEVICES``. With ``hides_gpus``, none is seen by any.
    Jobs for the device ``auto`` all run on one kind of device: a worker that has lost its GPU gets none of them.
    """

    def __init__(
        self,
        *,
        num_jobs: int = 1,
        gpus: Sequence[str] = (),
        hides_gpus: bool = False,
        plugin_files: Iterable[str] = (),
    ) -> None:
        self.num_jobs = num_jobs
        self._heard: queue.SimpleQueue[tuple[WorkerProcess, Answer | None]] = queue.SimpleQueue()
        self._resolve = Resolve((), {}, tuple(plugin_files), None)
        self._is_stopping = False
        self._busy: dict[WorkerProcess, TrialJob] = {}
        self._workers: list[WorkerProcess] = []
        self._preparing: set[WorkerProcess] = set()
        environments = worker_environments(num_jobs, gpus, hides_gpus=hides_gpus)
        self._vacancies = list(itertools.islice(environments, num_jobs))
        try:
            self._hire()
        except BaseException:
            self.kill()
            raise

    def resolve(
        self,
        drafts: Iterable[Draft],
        *,
        data_roots: Mapping[str, str],
        origins: Iterable[str],
        hear: Callable[[Status | Output], None] = lambda _: None,
    ) -> list[Resolved]:
        """Return what the drafts mean with the plugins and images as they are now.

        ``hear`` gets what the worker is busy with, and what plugins print. Raises what is wrong with the first bad
        draft, and :class:`~benchbench.errors.DeviceError` if the workers do not all have the same kind of device.
        """
        self._resolve = replace(self._resolve, origins=tuple(sorted(origins)))
        self._hire()
        first, *others = self._workers
        first.ask(replace(self._resolve, drafts=tuple(drafts), data_roots=data_roots))
        for worker in others:
            worker.ask(self._resolve)
        answers = dict(self._next_resolved(hear) for _ in self._workers)
        self._resolve = replace(self._resolve, device=_common_device(answers))
        return list(answers[first].resolved)

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        """Yield what each trial says, with its job; those that wait start as workers become free."""
        self._assign(jobs)
        while self._busy or (jobs and self._preparing and not self._is_stopping):
            worker, answer = self._next_answer()
            if worker not in self._workers:
                continue
            if worker in self._preparing:
                yield from self._hear_preparation(worker, answer, jobs)
            else:
                yield from self._hear_trial(worker, answer)
            self._assign(jobs)

    def time(self, job: TimingJob) -> Iterator[TimingEvent | Status | Output]:
        """Yield what is reported of a timing, to its end; raises what is wrong with it, or the worker's death."""
        self._workers[0].ask(TimeVariants(job))
        while True:
            worker, answer = self._next_answer()
            match answer:
                case None:
                    raise TrialError(worker.death().reason)
                case Refused():
                    raise answer.error
                case TimingUpdate():
                    yield answer.event
                    if isinstance(answer.event, TimingEnded):
                        return
                case Status() | Output():
                    yield answer

    def progress(self) -> dict[str, int]:
        """Return the batches trained so far in each running trial, by the folder of its attempt."""
        return {job.folder: worker.counter.num_trained for worker, job in tuple(self._busy.items())}

    def stop(self) -> None:
        """Ask running trials to end after their batch or a short epoch, and start no more."""
        self._is_stopping = True
        for worker in self._workers:
            worker.counter.ask_to_stop()

    def suspend(self) -> None:
        """Suspend the workers, as Ctrl-Z does to this process, until :meth:`wake`."""
        for worker in self._workers:
            worker.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the workers go on."""
        for worker in self._workers:
            worker.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End running trials at once."""
        self._is_stopping = True
        for worker in self._workers:
            worker.kill()

    def close(self) -> None:
        """End the workers, all at the same time; an interrupt meanwhile ends them at once."""
        try:
            for worker in self._workers:
                worker.finish()
            for worker in self._workers:
                worker.close()
        except BaseException:
            self.kill()
            raise

    def _next_answer(self) -> tuple[WorkerProcess, Answer | None]:
        """Return the next answer of a worker. Waits in short steps: a signal to another thread would not wake it."""
        while True:
            with suppress(queue.Empty):
                return self._heard.get(timeout=_WAKE_SECONDS)

    def _next_resolved(self, hear: Callable[[Status | Output], None]) -> tuple[WorkerProcess, ResolvedSpecs]:
        while True:
            worker, answer = self._next_answer()
            match answer:
                case None:
                    raise TrialError(worker.death().reason)
                case Status() | Output():
                    hear(answer)
                case Refused():
                    raise answer.error
                case ResolvedSpecs():
                    return worker, answer

    def _hear_trial(self, worker: WorkerProcess, answer: Answer | None) -> Iterator[tuple[TrialJob, TrialMessage]]:
        job, message = self._busy.get(worker), _as_trial_message(worker, answer)
        if job is not None and message is not None:
            yield job, message
        is_over = isinstance(message, Finished | Failed | Refused | Died)
        if is_over:
            self._busy.pop(worker, None)
        if isinstance(message, Died) or (is_over and worker.is_retiring):
            self._dismiss(worker)
            self._vacancies.append(worker.environment)

    def _hear_preparation(
        self, worker: WorkerProcess, answer: Answer | None, waiting: deque[TrialJob]
    ) -> Iterator[tuple[TrialJob, TrialMessage]]:
        """Hear whether a new worker is ready; it gets no trial before, since it would refuse each of them at once."""
        message = _as_trial_message(worker, answer)
        if isinstance(answer, ResolvedSpecs):
            self._preparing.remove(worker)
        elif isinstance(message, Died | Refused):
            self._dismiss(worker)
            if self._workers:
                yield from self._go_on_without(message, waiting)
            else:
                self._vacancies.append(worker.environment)
                yield from self._end_waiting(message, waiting)

    def _go_on_without(self, message: Died | Refused, waiting: deque[TrialJob]) -> Iterator[tuple[TrialJob, Output]]:
        reason = message.reason if isinstance(message, Died) else message.error.message
        text = f"a worker cannot be replaced, and the others go on: {reason}"
        jobs = [*self._busy.values(), *waiting]
        yield from ((job, Output(text)) for job in jobs[:1])

    def _end_waiting(
        self, message: Died | Refused, waiting: deque[TrialJob]
    ) -> Iterator[tuple[TrialJob, Died | Refused]]:
        """Say of the trials that a new worker would have run that it cannot: of all that wait, or of one if it died."""
        while waiting and not self._is_stopping:
            yield waiting.popleft(), message
            if isinstance(message, Died):
                return

    def _assign(self, waiting: deque[TrialJob]) -> None:
        """Give waiting trials to idle workers. A worker that died is replaced if there is more work."""
        if not waiting or self._is_stopping:
            return
        for worker in self._hire():
            self._preparing.add(worker)
            worker.ask(self._resolve)
        for worker in self._workers:
            if waiting and worker not in self._busy and worker not in self._preparing:
                self._busy[worker] = waiting.popleft()
                worker.ask(RunTrial(self._on_common_device(self._busy[worker])))

    def _on_common_device(self, job: TrialJob) -> TrialJob:
        """Return a job that no worker trains on another kind of device than the others, because it has lost its GPU."""
        return job.on_device(self._resolve.device)

    def _hire(self) -> list[WorkerProcess]:
        """Start the workers that are missing, and return them."""
        hired = []
        while self._vacancies:
            hired.append(WorkerProcess(self._heard, self._vacancies[0]))
            self._workers.append(hired[-1])  # at once: whatever interrupts this must find it there
            del self._vacancies[0]
        if self._is_stopping:  # a signal came while they started
            for worker in hired:
                worker.counter.ask_to_stop()
        return hired

    def _dismiss(self, worker: WorkerProcess) -> None:
        self._workers.remove(worker)
        self._preparing.discard(worker)
        worker.close()


def worker_environments(num_jobs: int, gpus: Sequence[str], *, hides_gpus: bool = False) -> Iterator[dict[str, str]]:
    """Yield the variables of each worker: a GPU of its own, and its part of the processors."""
    shared: dict[str, str] = {VISIBLE: ""} if hides_gpus else {}
    if num_jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        shared["OMP_NUM_THREADS"] = str(max(1, int(num_processors()) // num_jobs))
    names = itertools.cycle(gpus) if len(gpus) > 1 and num_jobs > 1 else None
    while True:
        yield shared | ({VISIBLE: next(names)} if names else {})


def _common_device(answers: Mapping[WorkerProcess, ResolvedSpecs]) -> str:
    """Return the device that all workers have; raises :class:`DeviceError` if some have another."""
    devices = {answer.device for answer in answers.values()}
    if len(devices) > 1:
        names = {
            f"{answer.device} with {VISIBLE}={worker.environment.get(VISIBLE, '')}"
            for worker, answer in answers.items()
        }
        raise DeviceError(
            f"trials would run on different devices: {', '.join(sorted(names))}",
            hint=f"set {VISIBLE} to the GPUs that work, or choose --device cpu",
        )
    return devices.pop()


def _as_trial_message(worker: WorkerProcess, answer: Answer | None) -> TrialMessage | None:
    """Return what an answer, or the end of all answers, says about the worker's trial; None if nothing."""
    if answer is None:
        return worker.death()
    if isinstance(answer, Retiring):
        worker.is_retiring = True
    return about_trial(answer)
