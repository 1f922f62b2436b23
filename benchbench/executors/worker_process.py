"""A worker process of this machine: started, asked, listened to, and ended with all that it started itself."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import first_line
from benchbench.processes import exit_reason, module_command
from benchbench.protocol.channel import Channel
from benchbench.protocol.messages import Died, Output
from benchbench.protocol.shared_counter import SharedCounter

if TYPE_CHECKING:
    import queue

    from benchbench.protocol.messages import Answer, Request

_LAST_WORDS = 5
"""Lines of a dead worker's output that its error message repeats."""

_CLOSE_SECONDS = 10.0
"""How long a worker that was told to end may take before it is killed."""

_OUTPUT_SECONDS = 2.0
"""How long to wait for the rest of a dead worker's output: a daemon of a plugin's may keep the pipe open."""


class WorkerProcess:
    """A worker and the threads that listen to it; what it says is put on ``heard`` as ``(worker, answer)``.

    An answer of None means that the process has ended. It has a process group of its own, which is killed when it
    ends: processes that a plugin started end with the worker.
    """

    def __init__(
        self, heard: queue.SimpleQueue[tuple[WorkerProcess, Answer | None]], environment: dict[str, str]
    ) -> None:
        self.environment = environment
        self.is_retiring = False
        self._folder = tempfile.TemporaryDirectory(prefix="bench-worker-")
        self.counter = SharedCounter(Path(self._folder.name) / "counter")
        self._heard = heard
        self._is_killed = False
        self._unreadable: Exception | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            arguments = (str(theirs.fileno()), str(self.counter.path))
            self._process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                module_command("benchbench.worker.main", *arguments, is_unbuffered=True),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                env=os.environ | _python_switches() | environment,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        assert isinstance(self._process.stdout, io.TextIOWrapper)  # noqa: S101 - asked for above
        self._process.stdout.reconfigure(newline="\n")
        self._output = threading.Thread(target=self._hear_output, daemon=True)
        self._answers = threading.Thread(target=self._hear_answers, daemon=True)
        self._output.start()
        self._answers.start()

    def ask(self, request: Request) -> None:
        """Send a request; one to a worker that has just died is dropped, since its death is heard anyway."""
        with suppress(ConnectionError):
            self._channel.send(request)

    def kill(self) -> None:
        """End the process and its children at once."""
        self._is_killed = True
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process and its children, if it has not ended."""
        if self._process.returncode is None:
            self._signal_group(number)

    def finish(self) -> None:
        """Let the process end by itself; it gets no more requests."""
        self._channel.finish()

    def close(self) -> None:
        """Let the process end by itself, and make sure that it does."""
        self.finish()
        try:
            self._process.wait(timeout=_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._answers.join()
        self._channel.close()
        # Closing a file that another thread reads would wait for that thread.
        if self._process.stdout is not None and not self._output.is_alive():
            self._process.stdout.close()
        self.counter.close()
        self._folder.cleanup()

    def death(self) -> Died:
        """Return why the process ended, as far as the system and its last words tell."""
        code = self._process.wait()
        if self._is_killed:
            return Died("stopped at once on request", is_requested=True)
        if self._unreadable is not None:
            error = f"{type(self._unreadable).__name__}: {first_line(self._unreadable)}"
            return Died(f"the worker's answer could not be read: {error}")
        if code == -signal.SIGKILL:
            reason = "the worker was killed by the system (SIGKILL), most often because memory ran out"
        else:
            reason = f"the worker ended unexpectedly with {exit_reason(code)}"
        return Died("\n".join([reason, *self._last_words]))

    def _hear_output(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            text = last_state(line)
            self._last_words.append(text)
            self._heard.put((self, Output(text)))

    def _hear_answers(self) -> None:
        try:
            for answer in self._channel.messages():
                self._heard.put((self, answer))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - whatever pydantic raises, the trial must end
            self._unreadable = error
            self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._signal_group(signal.SIGKILL)
        self._output.join(_OUTPUT_SECONDS)
        self._heard.put((self, None))

    def _signal_group(self, number: int) -> None:
        # macOS refuses to signal a group that has nothing but zombies left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def last_state(line: str) -> str:
    """Return what a terminal would show of a line in the end: bars, as tqdm draws them, begin it again and again."""
    return line.rstrip().rpartition("\r")[2]


def _python_switches() -> dict[str, str]:
    """Return variables for Python in the worker."""
    # Plugins print what they like, whatever the terminal can show.
    switches = {"PYTHONIOENCODING": "utf-8:backslashreplace"}
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        switches["PYTHONWARNINGS"] = "default"  # libraries warn, and a warning must not end a trial
    return switches
