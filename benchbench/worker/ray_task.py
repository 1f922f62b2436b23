"""What happens inside Ray: the task that answers like a worker process, and the board that all tasks look at.

Ray makes its workers import from the driver's working folder, before anything else. This module is therefore
shipped by value, and imports nothing of ours until the worker's path is clean.
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

    from benchbench.protocol.heartbeat import Heartbeat
    from benchbench.worker.main import Worker

BEAT_SECONDS = 1.0
"""How often a task tells the board how far it is, and asks whether to stop."""

PATIENCE_SECONDS = 10.0
"""How long a task waits for the board before it goes on without."""

Answer = dict[str, Any]


class Board:
    """How many batches each trial has trained, and whether all are to stop; kept by one actor."""

    def __init__(self) -> None:
        self._num_trained: dict[str, int] = {}
        self._is_stopping = False

    def beat(self, folder: str, num_trained: int) -> bool:
        """Note how far the trial of that folder is; return whether it should stop."""
        self._num_trained[folder] = num_trained
        return self._is_stopping

    def stop(self) -> None:
        """Make every trial stop at its next beat."""
        self._is_stopping = True

    def progress(self) -> dict[str, int]:
        """Return the batches trained by the folder of each trial."""
        return self._num_trained


def answer(requests: Sequence[Answer], surroundings: dict[str, Any], board: Any, folder: str) -> Iterator[Answer]:
    """Yield the answers to requests, as they come; ``folder`` is that of the trial's attempt, or empty.

    The work is done in a thread of its own, so that this one can pass on what is said while it is said.
    """
    # Said before anything that takes long: until it is heard, the driver takes the task for one that waits for room.
    yield {"say": "status", "text": f"starting on {socket.gethostname()}"}
    _settle(**surroundings)
    from benchbench.protocol.heartbeat import Heartbeat
    from benchbench.worker.main import Worker

    if folder and not Path(folder).parent.is_dir():
        yield _no_such_folder(Path(folder).parent)
        return
    said: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="bench-task-") as place:
        heartbeat = Heartbeat(Path(place) / "heartbeat")
        thread = threading.Thread(target=_work, args=(Worker(said.put, heartbeat), requests, said.put))
        thread.start()
        try:
            yield from _pass_on(said, lambda: _beat(board, folder, heartbeat))
        finally:
            # Whatever ends this task early ends the trial with it: the next task may get the same process.
            heartbeat.ask_to_stop()
            thread.join()
            heartbeat.close()


def _settle(*, folder: str, unsafe_folders: Sequence[str], variables: dict[str, str]) -> None:
    """Make this process like a worker that the driver started itself, where it is not one already."""
    sys.path[:] = [entry for entry in sys.path if entry and entry not in unsafe_folders]
    os.environ.update(variables)
    with suppress(OSError):  # on a host without this folder relative paths lead nowhere, which is said where used
        os.chdir(folder)
    from benchbench.worker.accelerate import keep_freed_memory

    keep_freed_memory()


def _no_such_folder(folder: Path) -> Answer:
    from benchbench.errors import SpecError

    error = SpecError(
        f"the Ray worker on {socket.gethostname()} does not see {folder}",
        hint="BENCH_STATE must name a folder that all hosts of the cluster share",
    )
    return {"say": "refused", "error": error.to_json(), "traceback": ""}


def _work(worker: Worker, requests: Sequence[Answer], say: Callable[[Answer | None], None]) -> None:
    lines = _Lines(say)
    try:
        with redirect_stdout(lines), redirect_stderr(lines):
            for request in requests:
                worker.answer(request)
    finally:
        say(None)


def _pass_on(said: queue.SimpleQueue[Answer | None], beat: Callable[[], None]) -> Iterator[Answer]:
    next_beat = 0.0
    while True:
        with suppress(queue.Empty):
            found = said.get(timeout=BEAT_SECONDS)
            if found is None:
                return
            yield found
        if time.monotonic() >= next_beat:
            beat()
            next_beat = time.monotonic() + BEAT_SECONDS


def _beat(board: Any, folder: str, heartbeat: Heartbeat) -> None:
    import ray

    # A board that cannot be reached is no reason to stop training: Ray ends the task when the driver is gone.
    with suppress(ray.exceptions.RayError, TimeoutError):
        # Not ray.get: while a task waits in that, Ray lends its processors to another.
        if board.beat.remote(folder, heartbeat.num_trained).future().result(timeout=PATIENCE_SECONDS):
            heartbeat.ask_to_stop()


class _Lines(io.TextIOBase):
    """A text file whose lines become answers."""

    def __init__(self, say: Callable[[Answer], None]) -> None:
        self._say = say
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._say({"say": "output", "text": line})
        return len(text)
