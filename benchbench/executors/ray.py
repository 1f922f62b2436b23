"""Trials as Ray tasks, on this machine or on a cluster, each with the processors and the GPU that it needs.

If there are several hosts, the folder of our state (``BENCH_STATE``), the images and loose plugin files must be on
storage that all of them share, under the same paths; benchbench and packaged plugins must be installed on each.
The driver gives each task its own working folder and its ``BENCH_`` variables.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchbench.errors import BenchError, TrialError
from benchbench.executors import Executor
from benchbench.executors.ray_cluster import connect, divide, ray
from benchbench.protocol.messages import (
    Died,
    Output,
    Refused,
    Resolve,
    ResolvedSpecs,
    RunTrial,
    Status,
    about_trial,
    decode,
    encode,
)
from benchbench.records.events import Failed, Finished, Resumed, Started

exceptions = ray.exceptions

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchbench.config.spec import Draft
    from benchbench.protocol.jobs import Resolved, TrialJob
    from benchbench.protocol.messages import Answer, Request, TrialMessage

_WAKE_SECONDS = 0.5

# Shipped by value, for the reason that its docstring gives; named and not imported, since nothing imports a worker.
ray_task = importlib.import_module("benchbench.worker.ray_task")
ray.cloudpickle.register_pickle_by_value(ray_task)


@dataclass(eq=False)
class _Task:
    """A trial that was handed to Ray, and its answers."""

    job: TrialJob
    answers: ray.ObjectRefGenerator
    has_spoken: bool = False
    has_ended: bool = False


class RayExecutor(Executor):
    """Runs trials as Ray tasks, ``num_jobs`` at a time. Use as a context manager.

    Ray is started on this machine, or, with an ``address``, only connected to; a Ray that this process uses already
    is used and left as it is. ``num_jobs``: one for each GPU if ``device`` may be one and there are any, one for
    each host otherwise; then ``auto`` means ``cuda``, or what torch chooses. Threads: ``OMP_NUM_THREADS``, or the
    processors of the trial.
    """

    def __init__(
        self,
        *,
        num_jobs: int | None = None,
        address: str | None = None,
        device: str = "auto",
        plugin_files: Iterable[str] = (),
    ) -> None:
        self._resolve = Resolve((), {}, tuple(plugin_files), None)
        self._heard: queue.SimpleQueue[tuple[_Task | None, TrialMessage | None]] = queue.SimpleQueue()
        self._running: set[_Task] = set()
        self._is_stopping = self._is_killing = self._is_told_to_stop = False
        self._progress: dict[str, int] = {}
        self._asked_for_progress: ray.ObjectRef[dict[str, int]] | None = None
        self._is_ours = not ray.is_initialized()
        try:
            if self._is_ours:
                connect(address, num_jobs=num_jobs)
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._slots = divide(nodes, num_jobs=num_jobs, use_gpus=device.partition(":")[0] in ("auto", "cuda"))
            self._board = _start_board()
        except BaseException:
            self._shut_down()  # the next executor would use it, whatever its address
            raise
        self.num_jobs = self._slots.num_jobs

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
        draft.
        """
        self._resolve = replace(self._resolve, origins=tuple(sorted(origins)))
        request = replace(self._resolve, drafts=tuple(drafts), data_roots=data_roots)
        try:
            for reference in self._submit([request], folder=""):
                match _answer(ray.get(reference)):
                    case Status() | Output() as said:
                        hear(said)
                    case Refused() as refused:
                        raise refused.error
                    case ResolvedSpecs() as specs:
                        return list(specs.resolved)
        except exceptions.RayError as error:
            end = _end_of(error, has_begun=False)
            raise (end.error if isinstance(end, Refused) else TrialError(end.reason)) from error
        raise TrialError(_SILENT_END)

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        """Yield what each trial says, with its job; those that wait are handed to Ray as others end."""
        self._start(jobs)
        while self._running:
            self._handle_requests()
            try:
                task, message = self._heard.get(timeout=_WAKE_SECONDS)
            except queue.Empty:  # wakes up meanwhile: a signal that reached another thread wakes nobody
                continue
            if task is None or task not in self._running:
                continue
            if message is None:
                self._running.remove(task)
                self._remove_empty_folder(task.job.folder)
            elif not task.has_ended:
                task.has_ended = isinstance(message, Finished | Failed | Refused | Died)
                yield task.job, message
            self._start(jobs)

    def _remove_empty_folder(self, folder: str) -> None:
        """Remove the folder of a trial that did not begin, unless a retry is about to begin in it."""
        if all(task.job.folder != folder for task in self._running):
            with suppress(OSError):  # it has a journal
                Path(folder).rmdir()

    def progress(self) -> dict[str, int]:
        """Return the batches trained in each running trial, by the folder of its attempt, as of a second ago."""
        with suppress(exceptions.RayError):
            asked = self._asked_for_progress or self._board.progress.remote()
            is_answered = bool(ray.wait([asked], timeout=0)[0])
            self._asked_for_progress = None if is_answered else asked
            if is_answered:
                self._progress = ray.get(asked)
        return {task.job.folder: self._progress.get(task.job.folder, 0) for task in tuple(self._running)}

    def stop(self) -> None:
        """Ask running trials to end after the batch that they are in within a second, and start no more."""
        self._is_stopping = True
        self._wake_loop()

    def suspend(self) -> None:
        """Leave the trials alone: they belong to Ray, and may run on other hosts."""

    def wake(self) -> None:
        """Leave the trials alone."""

    def kill(self) -> None:
        """End running trials at once."""
        self._is_stopping = self._is_killing = True
        self._wake_loop()

    def close(self) -> None:
        """End what still runs, and the Ray that was started for it."""
        try:
            for task in self._running:
                _cancel(task, force=True)
            self._running.clear()
            with suppress(exceptions.RayError):
                ray.kill(self._board)
        finally:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._is_ours:
            ray.shutdown()

    def _wake_loop(self) -> None:
        # Signal handlers call this at any point, also within a call of Ray, which must not be entered twice.
        self._heard.put((None, None))

    def _handle_requests(self) -> None:
        """Do what was asked for since the last message."""
        if self._is_killing:
            self._is_killing = False
            for task in self._running:
                _cancel(task, force=True)
                self._heard.put((task, Died("stopped at once on request", is_requested=True)))
                self._heard.put((task, None))
        elif self._is_stopping and not self._is_told_to_stop:
            self._is_told_to_stop = True
            self._board.stop.remote()
            for task in self._running:
                if not task.has_spoken:  # it waits for room, perhaps for hours
                    _cancel(task, force=False)

    def _start(self, waiting: deque[TrialJob]) -> None:
        while waiting and len(self._running) < self.num_jobs and not self._is_stopping:
            job = waiting.popleft()
            # A task that does not see this folder knows that the hosts do not share it. Not its parent: the host may
            # have a folder of its own at that path, with an earlier attempt at this trial.
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            # A trial that has a GPU of Ray's must not go on without it if torch cannot use it there.
            on_gpu = job.on_device("cuda") if self._slots.gpus else job
            answers = self._submit([self._resolve, RunTrial(on_gpu)], folder=job.folder)
            task = _Task(job, answers)
            self._running.add(task)
            threading.Thread(target=self._listen, args=(task,), daemon=True).start()

    def _submit(self, requests: Sequence[Request], *, folder: str) -> ray.ObjectRefGenerator:
        needs = {"num_cpus": self._slots.cores, "num_gpus": self._slots.gpus} if folder else {"num_cpus": 1}
        # The driver, which has the journal, tries again what died; Ray would begin anew.
        task = ray.remote(num_returns="streaming", max_retries=0, **needs)(ray_task.answer)
        texts = [encode(request) for request in requests]
        answers: ray.ObjectRefGenerator = task.remote(texts, self._surroundings(), self._board, folder)
        return answers

    def _surroundings(self) -> dict[str, Any]:
        variables = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
        variables["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(self._slots.cores))
        folder = str(Path.cwd())
        program_folder = str(Path(sys.argv[0]).resolve().parent)
        return {"folder": folder, "unsafe_folders": [folder, program_folder], "variables": variables}

    def _listen(self, task: _Task) -> None:
        has_begun = False
        try:
            for reference in task.answers:
                message = about_trial(_answer(ray.get(reference)))
                task.has_spoken = True
                has_begun = has_begun or isinstance(message, Started | Resumed)
                if message is not None:
                    self._heard.put((task, message))
            self._heard.put((task, Died(_SILENT_END)))
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, the trial has ended
            self._heard.put((task, _end_of(error, has_begun=has_begun)))
        self._heard.put((task, None))


def _start_board() -> Any:
    # On the driver's host, so that it does not end with a host that runs only some trials.
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    return ray.remote(num_cpus=0, scheduling_strategy=here)(ray_task.Board).remote()


_SILENT_END = "the Ray task ended without a result"


def _answer(text: str) -> Answer:
    return cast("Answer", decode(text))  # a task sends no requests


def _cancel(task: _Task, *, force: bool) -> None:
    with suppress(exceptions.RayError, ValueError):
        ray.cancel(task.answers, force=force)


def _end_of(error: Exception, *, has_begun: bool) -> Refused | Died:
    """Return what an error that Ray raised means for the trial."""
    is_raised_inside = isinstance(error, exceptions.RayTaskError)
    if isinstance(error, exceptions.TaskCancelledError):
        return Died("the Ray task was cancelled")
    if is_raised_inside and not has_begun:
        hint = "the same versions of benchbench, its plugins and Python must be on every node"
        return Refused.of(BenchError(_last_line(error), hint=hint), str(error))
    if isinstance(error, exceptions.WorkerCrashedError):
        return Died("the Ray worker was killed by the system or crashed, most often because memory ran out")
    if isinstance(error, exceptions.OutOfMemoryError):
        return Died("Ray ended the trial because memory ran out on its node")
    return Died(f"{type(error).__name__}: {_last_line(error)}" if not is_raised_inside else _last_line(error))


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).rpartition("\n")[2]
