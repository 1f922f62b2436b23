"""Threads that do what nobody waits for, such as importing MLflow, and what is done about them when the program ends.

Python ends such threads when it shuts down, and C++ in the middle of an import takes that for a crash (SIGABRT).
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORT_SECONDS = 10.0
"""How long the end of the program waits for a thread that may still import something."""

_threads: WeakSet[threading.Thread] = WeakSet()


def in_background(target: Callable[..., object], *arguments: object, name: str) -> threading.Thread:
    """Call ``target`` in a thread that does not keep the program from ending, and return the thread."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.start()
    _threads.add(thread)
    return thread


def end_without_waiting(code: int) -> None:
    """End the program with an exit code, at once and without Python's shutdown, if a thread has not ended yet."""
    if any(thread.is_alive() for thread in _threads):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@atexit.register
def _wait_for_threads() -> None:
    for thread in _threads:
        thread.join(IMPORT_SECONDS)
