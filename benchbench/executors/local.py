"""Trials in worker processes on this machine, each of which imports torch once and then serves trial after trial."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchbench.errors import TrialError
from benchbench.protocol.heartbeat import Heartbeat
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Output, Refused, Status, resolved_of, timing_of, understand
from benchbench.protocol.timing import TimingEnded, TimingJob
from benchbench.records.adapter import adapter
from benchbench.records.events import Failed, Finished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from benchbench.config.spec import Draft
    from benchbench.protocol.jobs import Resolved
    from benchbench.protocol.timing import TimingEvent
    from benchbench.records.events import Event

_LAST_WORDS = 5
"""Lines of a dead worker's output that its error message repeats."""


class WorkerProcess:
    """A worker and the threads that listen to it; what it says is put on ``heard`` as ``(worker, answer)``.

    An answer of None means that the process has ended.
    """

    def __init__(
        self,
        heard: queue.SimpleQueue[tuple[WorkerProcess, dict[str, Any] | None]],
        environment: dict[str, str],
    ) -> None:
        self.environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="bench-worker-")
        self.heartbeat = Heartbeat(Path(self._folder.name) / "heartbeat")
        self._heard = heard
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        # -P: the working folder is not a place to import from.
        self._process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            [sys.executable, "-P", "-u", "-m", "benchbench.worker.main", str(self.heartbeat.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._listeners = [
            threading.Thread(target=listen, daemon=True) for listen in (self._hear_output, self._hear_answers)
        ]
        for listener in self._listeners:
            listener.start()

    def ask(self, do: str, **content: Any) -> None:
        """Send a request; one to a worker that has just died is dropped, since its end is heard anyway."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do} | content) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Let the process end by itself, and make sure that it does."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for listener in self._listeners:
            listener.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self.heartbeat.close()
        self._folder.cleanup()

    def cause_of_death(self) -> str:
        """Return why the process ended, as far as the system and its last words tell."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            reason = "the worker was killed by the system (SIGKILL), most often because memory ran out"
        elif code < 0:
            reason = f"the worker was ended by signal {signal.Signals(-code).name}"
        else:
            reason = f"the worker ended unexpectedly with exit code {code}"
        return "\n".join([reason, *self._last_words])

    def _hear_output(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        for line in self._process.stderr:
            self._last_words.append(line.rstrip())
            self._heard.put((self, {"say": "output", "text": line.rstrip()}))

    def _hear_answers(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            self._heard.put((self, json.loads(line)))
        self._listeners[0].join()
        self._heard.put((self, None))


class LocalExecutor:
    """Runs trials on this machine, ``num_jobs`` at a time. Use as a context manager.

    Workers start, and begin to import torch, as soon as the executor is made.
    """

    def __init__(self, *, num_jobs: int = 1, num_gpus: int = 0, plugin_files: Iterable[str] = ()) -> None:
        self.num_jobs = num_jobs
        self._heard: queue.SimpleQueue[tuple[WorkerProcess, dict[str, Any] | None]] = queue.SimpleQueue()
        self._plugin_files = tuple(plugin_files)
        self._origins: tuple[str, ...] | None = None
        self._stopping = False
        self._busy: dict[WorkerProcess, TrialJob] = {}
        self._workers: list[WorkerProcess] = []
        self._vacancies = list(itertools.islice(_environments(num_jobs, num_gpus), num_jobs))
        self._hire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        self.close()

    def use_origins(self, origins: Iterable[str]) -> None:
        """Let workers load these plugin origins only, where the caller knows which are needed."""
        self._origins = tuple(sorted(origins))

    def resolve(self, drafts: Iterable[Draft], *, data_roots: Mapping[str, str]) -> list[Resolved]:
        """Return what the drafts mean with the plugins and images there are; raises what is wrong with the first."""
        plain = [draft.model_dump(mode="json") for draft in drafts]
        for worker in self._workers:
            self._prepare(worker, plain if worker is self._workers[0] else [], data_roots)
        resolved: list[Resolved] = []
        for _ in self._workers:
            resolved += self._resolved()
        return resolved

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, Event | Status | Output | Refused | Died]]:
        """Yield what each trial says, with its job; those that wait start as workers become free."""
        self._assign(jobs)
        while self._busy:
            worker, answer = self._heard.get()
            job = self._busy.get(worker)
            message = self._understand(worker, answer)
            if job is not None and message is not None:
                yield job, message
            if isinstance(message, Finished | Failed | Refused | Died):
                self._busy.pop(worker, None)
            if isinstance(message, Died):
                self._dismiss(worker)
            self._assign(jobs)

    def time(self, job: TimingJob) -> Iterator[TimingEvent | Status | Output]:
        """Yield what a timing says, to its end; raises what is wrong with it, or the death of the worker."""
        self._workers[0].ask("time", job=adapter(TimingJob).dump_python(job, mode="json"))
        while True:
            worker, answer = self._heard.get()
            if answer is None:
                raise TrialError(worker.cause_of_death())
            message = timing_of(answer)
            if message is not None:
                yield message
            if isinstance(message, TimingEnded):
                return

    def progress(self) -> dict[str, int]:
        """Return the batches trained so far in each running trial, by the folder of its attempt."""
        return {job.folder: worker.heartbeat.num_trained for worker, job in tuple(self._busy.items())}

    def stop(self) -> None:
        """Ask running trials to end after their batch, and start no more."""
        self._stopping = True
        for worker in self._workers:
            worker.heartbeat.ask_to_stop()

    def kill(self) -> None:
        """End running trials at once."""
        self._stopping = True
        for worker in self._workers:
            worker.kill()

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()

    def _prepare(self, worker: WorkerProcess, drafts: list[Any], data_roots: Mapping[str, str]) -> None:
        worker.ask(
            "resolve",
            drafts=drafts,
            data_roots=dict(data_roots),
            plugin_files=self._plugin_files,
            origins=self._origins,
        )

    def _resolved(self) -> list[Resolved]:
        while True:
            worker, answer = self._heard.get()
            if answer is None:
                raise TrialError(worker.cause_of_death())
            resolved = resolved_of(answer)
            if resolved is not None:
                return resolved

    def _assign(self, waiting: deque[TrialJob]) -> None:
        """Give trials that wait to workers that have none; who died is replaced when there is work for another."""
        if not waiting or self._stopping:
            return
        for worker in self._hire():
            self._prepare(worker, [], {})
        for worker in self._workers:
            if waiting and worker not in self._busy:
                self._busy[worker] = waiting.popleft()
                worker.ask("run", job=adapter(TrialJob).dump_python(self._busy[worker], mode="json"))

    def _hire(self) -> list[WorkerProcess]:
        """Start the workers that are missing, and return them."""
        hired = [WorkerProcess(self._heard, environment) for environment in self._vacancies]
        self._vacancies.clear()
        self._workers += hired
        return hired

    def _dismiss(self, dead: WorkerProcess) -> None:
        self._workers.remove(dead)
        dead.close()
        self._vacancies.append(dead.environment)

    @staticmethod
    def _understand(
        worker: WorkerProcess, answer: dict[str, Any] | None
    ) -> Event | Status | Output | Refused | Died | None:
        return Died(worker.cause_of_death()) if answer is None else understand(answer)


def _environments(num_jobs: int, num_gpus: int) -> Iterator[dict[str, str]]:
    """Yield what each worker finds in its environment: a GPU of its own, and its share of the processor's threads."""
    shared: dict[str, str] = {}
    if num_jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        shared["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // num_jobs))
    gpus = itertools.cycle(range(num_gpus)) if num_gpus > 1 and num_jobs > 1 else None
    for _ in itertools.count():
        yield shared | ({"CUDA_VISIBLE_DEVICES": str(next(gpus))} if gpus else {})
