"""Trials as Ray tasks, on this machine or on a cluster, each with the processors and the GPU that it needs.

On several hosts the folder of our state (``BENCH_STATE``), the images and loose plugin files must be on storage
that all of them share, under the same paths; benchbench and packaged plugins must be installed on each.
The driver gives each task its own working folder and its ``BENCH_`` variables.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchbench.errors import BenchError, SpecError, TrialError
from benchbench.executors.ray_share import share_out
from benchbench.protocol.jobs import Resolved, TrialJob
from benchbench.protocol.messages import Died, Output, Refused, Status, resolved_of, understand
from benchbench.records.adapter import adapter
from benchbench.records.events import Failed, Finished, Resumed, Started

# Ray reads these when it is imported. What its daemons have to say goes to standard output otherwise, among our JSON.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
except ModuleNotFoundError as error:
    raise BenchError("the ray executor needs the extra: pip install 'benchbench[ray]'") from error

from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from benchbench.config.spec import Draft
    from benchbench.records.events import Event

    Message = Event | Status | Output | Refused | Died

_OBJECT_STORE_BYTES = 100 * 2**20
"""Events are small; Ray would set aside a third of the memory."""

_CONNECT_SECONDS = 5.0

# By value, for the reason that its docstring gives.
# Shipped to the cluster by value; named and not imported, as everything of worker/ is started and never imported.
ray_task = importlib.import_module("benchbench.worker.ray_task")
ray.cloudpickle.register_pickle_by_value(ray_task)


@dataclass(eq=False)
class _Task:
    """A trial that was handed to Ray, and what it says."""

    job: TrialJob
    answers: ray.ObjectRefGenerator
    has_spoken: bool = False
    has_ended: bool = False


class RayExecutor:
    """Runs trials as Ray tasks, ``num_jobs`` at a time. Use as a context manager.

    Ray is started on this machine, or, with an ``address``, only connected to; a Ray that this process uses already
    is used and left as it is. ``num_jobs``: one for each GPU where ``device`` may be one and there are any, one for
    each host otherwise. Threads: ``OMP_NUM_THREADS``, or the cores of the trial.
    """

    def __init__(
        self,
        *,
        num_jobs: int | None = None,
        address: str | None = None,
        device: str = "auto",
        plugin_files: Iterable[str] = (),
    ) -> None:
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            connect(address, num_jobs=num_jobs)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._share = share_out(nodes, num_jobs=num_jobs, use_gpus=device.partition(":")[0] in ("auto", "cuda"))
        self.num_jobs = self._share.num_jobs
        self._plugin_files = tuple(plugin_files)
        self._origins: tuple[str, ...] | None = None
        self._heard: queue.SimpleQueue[tuple[_Task | None, Message | None]] = queue.SimpleQueue()
        self._running: set[_Task] = set()
        self._is_stopping = self._is_killing = self._is_told_to_stop = False
        self._progress: dict[str, int] = {}
        self._asked_for_progress: ray.ObjectRef[dict[str, int]] | None = None
        # The board shares the fate of the driver, not that of a host which only some trials run on.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._board = ray.remote(num_cpus=0, scheduling_strategy=here)(ray_task.Board).remote()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def use_origins(self, origins: Iterable[str]) -> None:
        """Let tasks load these plugin origins only, where the caller knows which are needed."""
        self._origins = tuple(sorted(origins))

    def resolve(self, drafts: Iterable[Draft], *, data_roots: Mapping[str, str]) -> list[Resolved]:
        """Return what the drafts mean with the plugins and images there are; raises what is wrong with the first."""
        plain = [draft.model_dump(mode="json") for draft in drafts]
        try:
            for reference in self._submit([self._preparation(plain, data_roots)], folder=""):
                resolved = resolved_of(ray.get(reference))
                if resolved is not None:
                    return resolved
        except exceptions.RayError as error:
            end = _end_of(error, has_begun=False)
            raise (end.error if isinstance(end, Refused) else TrialError(end.reason)) from error
        raise TrialError(_WITHOUT_A_WORD)

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, Message]]:
        """Yield what each trial says, with its job; those that wait are handed to Ray as others end."""
        self._start(jobs)
        while self._running:
            task, message = self._heard.get()
            self._obey()
            if task is None or task not in self._running:
                continue
            if message is None:
                self._running.remove(task)
            elif not task.has_ended:
                task.has_ended = isinstance(message, Finished | Failed | Refused | Died)
                yield task.job, message
            self._start(jobs)

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
        self._wake()

    def kill(self) -> None:
        """End running trials at once."""
        self._is_stopping = self._is_killing = True
        self._wake()

    def close(self) -> None:
        """End what still runs, and the Ray that was started for it."""
        for task in self._running:
            _cancel(task, force=True)
        self._running.clear()
        with suppress(exceptions.RayError):
            ray.kill(self._board)
        if self._is_ours:
            ray.shutdown()

    def _wake(self) -> None:
        # Signal handlers call this at any point, also within a call of Ray, which must not be entered twice.
        self._heard.put((None, None))

    def _obey(self) -> None:
        """Do what was asked for since the last message."""
        if self._is_killing:
            self._is_killing = False
            for task in self._running:
                _cancel(task, force=True)
                self._heard.put((task, Died("stopped at once on request")))
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
            # A task that does not see this folder knows that the hosts do not share it.
            Path(job.folder).parent.mkdir(parents=True, exist_ok=True)
            request = {"do": "run", "job": adapter(TrialJob).dump_python(job, mode="json")}
            answers = self._submit([self._preparation([], {}), request], folder=job.folder)
            task = _Task(job, answers)
            self._running.add(task)
            threading.Thread(target=self._listen, args=(task,), daemon=True).start()

    def _preparation(self, drafts: list[Any], data_roots: Mapping[str, str]) -> dict[str, Any]:
        return {
            "do": "resolve",
            "drafts": drafts,
            "data_roots": dict(data_roots),
            "plugin_files": self._plugin_files,
            "origins": self._origins,
        }

    def _submit(self, requests: Sequence[dict[str, Any]], *, folder: str) -> ray.ObjectRefGenerator:
        needs = {"num_cpus": self._share.cores, "num_gpus": self._share.gpus} if folder else {"num_cpus": 1}
        # What died is tried again by the driver, which has its journal, and not by Ray, which would begin anew.
        task = ray.remote(num_returns="streaming", max_retries=0, **needs)(ray_task.answer)
        answers: ray.ObjectRefGenerator = task.remote(requests, self._surroundings(), self._board, folder)
        return answers

    def _surroundings(self) -> dict[str, Any]:
        variables = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
        variables["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(self._share.cores))
        folder = str(Path.cwd())
        program_folder = str(Path(sys.argv[0]).resolve().parent)
        return {"folder": folder, "unsafe_folders": [folder, program_folder], "variables": variables}

    def _listen(self, task: _Task) -> None:
        has_begun = False
        try:
            for reference in task.answers:
                message = understand(ray.get(reference))
                task.has_spoken = True
                has_begun = has_begun or isinstance(message, Started | Resumed)
                if message is not None:
                    self._heard.put((task, message))
            self._heard.put((task, Died(_WITHOUT_A_WORD)))
        except Exception as error:  # noqa: BLE001 - whatever Ray raises, the trial has ended
            self._heard.put((task, _end_of(error, has_begun=has_begun)))
        self._heard.put((task, None))


_WITHOUT_A_WORD = "the Ray task ended without a word"


def connect(address: str | None, *, num_jobs: int | None) -> None:
    """Start Ray on this machine, or connect to the cluster at ``address``.

    Raises :class:`~benchbench.errors.SpecError` for an address where there is none.
    """
    if address is None:
        ray.init(
            address="local",  # never the cluster that RAY_ADDRESS may name
            num_cpus=max(os.cpu_count() or 1, num_jobs or 1),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return
    if address.startswith("ray://"):
        raise SpecError(
            f"--address {address!r}: Ray clients cannot stream events",
            hint="give HOST:PORT, or auto, on a machine that is a node of the cluster",
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():
            # Ray itself tries for more than three minutes.
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        hint = "is there a cluster (ray start --head), and does its token authentication let you in?"
        raise SpecError(f"--address {address!r}: {reason}", hint=hint) from error


def _cancel(task: _Task, *, force: bool) -> None:
    with suppress(exceptions.RayError, ValueError):
        ray.cancel(task.answers, force=force)


def _end_of(error: Exception, *, has_begun: bool) -> Refused | Died:
    """Return what an error of Ray's means for the trial."""
    is_raised_inside = isinstance(error, exceptions.RayTaskError)
    if isinstance(error, exceptions.TaskCancelledError):
        return Died("the Ray task was cancelled")
    if is_raised_inside and not has_begun:
        hint = "the same versions of benchbench, its plugins and Python must be on every node"
        return Refused(BenchError(_last_line(error), hint=hint), str(error))
    if isinstance(error, exceptions.WorkerCrashedError):
        return Died("the Ray worker was killed by the system or crashed, most often because memory ran out")
    if isinstance(error, exceptions.OutOfMemoryError):
        return Died("Ray ended the trial because memory ran out on its node")
    return Died(f"{type(error).__name__}: {_last_line(error)}" if not is_raised_inside else _last_line(error))


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).rpartition("\n")[2]
