"""What happens inside Ray: the task that answers like a worker process, and the board that all tasks look at.

Ray makes its workers import from the driver's working folder before anything else. This module is therefore
shipped by value, and imports nothing of ours until the worker's path is clean. Messages come and go as text.
"""

from __future__ import annotations

import io
import os
import queue
import socket
import sys
import tempfile
import threading
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchbench.protocol.messages import Answer, Refused
    from benchbench.protocol.shared_counter import SharedCounter
    from benchbench.worker.main import Worker

REPORT_SECONDS = 1.0
"""How often a task reports its progress to the board, and asks whether to stop."""

BOARD_SECONDS = 10.0
"""How long a task waits for the board before it goes on without."""


class Board:
    """The number of batches that each trial has trained, and whether all are to stop; kept by one actor."""

    def __init__(self) -> None:
        self._num_trained: dict[str, int] = {}
        self._is_stopping = False

    def report(self, folder: str, num_trained: int) -> bool:
        """Note the progress of the trial in that folder; return whether it should stop."""
        self._num_trained[folder] = num_trained
        return self._is_stopping

    def stop(self) -> None:
        """Make every trial stop at its next report."""
        self._is_stopping = True

    def progress(self) -> dict[str, int]:
        """Return the batches trained by the folder of each trial."""
        return self._num_trained


def answer(requests: Sequence[str], surroundings: dict[str, Any], board: Any, folder: str) -> Iterator[str]:
    """Yield the answers to requests, as they come; ``folder`` is that of the trial's attempt, or empty.

    The work is done in a thread of its own, so that this one can pass on answers while the work goes on.
    """
    _settle(**surroundings)
    from benchbench.protocol.messages import Status, encode

    # Before the long import of torch: until the driver hears of a task, it takes it for one that waits for room.
    yield encode(Status(f"starting on {socket.gethostname()}"))
    if folder and not Path(folder).is_dir():
        yield encode(_no_such_folder(folder))
        return
    from benchbench.worker.accelerate import keep_freed_memory

    keep_freed_memory()
    for each in _work(requests, board, folder):
        yield encode(each)


def _settle(*, folder: str, unsafe_folders: Sequence[str], variables: dict[str, str]) -> None:
    """Make this process like a worker that the driver started itself."""
    sys.path[:] = [entry for entry in sys.path if entry and entry not in unsafe_folders]
    os.environ.update(variables)
    with suppress(OSError):  # on a host without this folder a relative path is reported when it is used
        os.chdir(folder)


def _no_such_folder(folder: str) -> Refused:
    from benchbench.errors import SpecError
    from benchbench.protocol.messages import Refused

    error = SpecError(
        f"the Ray worker on {socket.gethostname()} does not see {folder}",
        hint="BENCH_STATE must name a folder that all hosts of the cluster share",
    )
    return Refused.of(error, "")


def _work(requests: Sequence[str], board: Any, folder: str) -> Iterator[Answer]:
    from benchbench.protocol.shared_counter import SharedCounter
    from benchbench.worker.main import Worker

    answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="bench-task-") as scratch:
        counter = SharedCounter(Path(scratch) / "counter")
        thread = threading.Thread(target=_answer_all, args=(Worker(answers.put, counter), requests, answers.put))
        thread.start()
        try:
            yield from _pass_on(answers, lambda: _report(board, folder, counter))
        finally:
            # Whatever ends this task early ends the trial with it: the next task may get the same process.
            counter.ask_to_stop()
            thread.join()
            counter.close()


def _answer_all(worker: Worker, requests: Sequence[str], put: Callable[[Answer | None], None]) -> None:
    from benchbench.protocol.messages import decode

    lines = _Lines(put)
    try:
        with redirect_stdout(lines), redirect_stderr(lines):
            for request in requests:
                worker.answer(decode(request))  # type: ignore[arg-type]
    finally:
        lines.end_line()
        put(None)


def _pass_on(answers: queue.SimpleQueue[Answer | None], report: Callable[[], None]) -> Iterator[Answer]:
    next_report = 0.0
    while True:
        with suppress(queue.Empty):
            each = answers.get(timeout=REPORT_SECONDS)
            if each is None:
                return
            yield each
        if time.monotonic() >= next_report:
            report()
            next_report = time.monotonic() + REPORT_SECONDS


def _report(board: Any, folder: str, counter: SharedCounter) -> None:
    import ray

    # A board that cannot be reached is no reason to stop training: Ray ends the task when the driver is gone.
    with suppress(ray.exceptions.RayError, TimeoutError):
        # Not ray.get: while a task waits in that, Ray lends its processors to another.
        if board.report.remote(folder, counter.num_trained).future().result(timeout=BOARD_SECONDS):
            counter.ask_to_stop()


class _Lines(io.TextIOBase):
    """A text file whose lines become answers."""

    def __init__(self, put: Callable[[Answer], None]) -> None:
        self._put = put
        self._rest = ""

    def write(self, text: str) -> int:
        from benchbench.protocol.messages import Output

        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._put(Output(line))
        return len(text)

    def end_line(self) -> None:
        """Pass on what was written after the last line break."""
        if self._rest:
            self.write("\n")
