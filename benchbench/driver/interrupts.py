"""Signals while trials run.

The first SIGINT or SIGTERM asks for a stop, which loses no finished epoch if the running one is short; the second
stops at once. A terminal that closes (SIGHUP) also asks for a stop, but never stops at once, since both the shell and
the system may send it. SIGTSTP (Ctrl-Z) suspends the workers with this process: they have their own process groups, so
the terminal does not.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from benchbench.executors import Executor

T = TypeVar("T")

STOPPING = "stopping after this batch or a short epoch; interrupt again to stop at once"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP stopped the call, after everything so far was saved.

    ``result`` is what the call would have returned: a record, a grid result or a timing, or None if there is none yet.
    """

    def __init__(self, result: Any = None) -> None:
        super().__init__("interrupted")
        self.result = result


@contextmanager
def interruptible(result: Callable[[], Any] = lambda: None) -> Iterator[None]:
    """Have Ctrl-C in the block raise :class:`Interrupted` with the result so far."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(result()) from None


def result_so_far(call: Callable[[], T]) -> tuple[T, bool]:
    """Return the result of a call, and whether it was interrupted.

    Raises :class:`Interrupted` if it was before there was a result.
    """
    try:
        return call(), False
    except Interrupted as interrupted:
        if interrupted.result is None:
            raise
        return interrupted.result, True


class Interrupts:
    """Counts the signals and passes them on to an executor; ``note`` is told of the first."""

    def __init__(self, executor: Executor, note: Callable[[str], None]) -> None:
        self.count = 0
        self._executor = executor
        # In a thread: a handler may run in the middle of a write to a stream, which refuses another one then.
        self._note = threading.Thread(target=note, args=(STOPPING,), name="bench-note")

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them while the block runs; does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        try:
            yield
        finally:
            for number, handler in before.items():
                # None stands for a handler that was not set from Python, and cannot be set again from it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            if self.count:
                self._note.join()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if not self.count:
            self._handle(number, frame)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self.count += 1
        if self.count == 1:
            self._executor.stop()
            self._note.start()
        else:
            self._executor.kill()

    def _suspend(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as above
        self._executor.suspend()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._executor.wake()
