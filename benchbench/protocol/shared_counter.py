"""Two integers that a worker and the driver share through a small mapped file while a trial runs.

The worker counts training batches, which the display reads as often as it likes; the driver asks for a stop. Neither
ever waits for the other.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from benchbench.errors import StoppedError

if TYPE_CHECKING:
    from pathlib import Path

_TRAINED, _STOP = range(2)
_NUM_BYTES = 2 * 8


class SharedCounter:
    """The number of batches that the running trial has trained, and whether it should stop.

    Both sides map the same file. Only one side writes each integer, and aligned stores of 8 bytes are atomic.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(_NUM_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _NUM_BYTES)
        self._slots = memoryview(self._map).cast("q")

    def trained(self) -> None:
        """Count a training batch; raises :class:`StoppedError` after a request to stop."""
        self._slots[_TRAINED] += 1
        self.check()

    def check(self) -> None:
        """Raise :class:`StoppedError` after a request to stop."""
        if self._slots[_STOP]:
            raise StoppedError("stopped on request")

    def restart(self, *, num_trained: int) -> None:
        """Begin a trial, or resume one that has trained so many batches."""
        self._slots[_TRAINED] = num_trained

    def ask_to_stop(self) -> None:
        """Make the worker's next call of :meth:`trained` or :meth:`check` raise."""
        self._slots[_STOP] = 1

    @property
    def num_trained(self) -> int:
        """The batches that the running trial has trained so far."""
        return int(self._slots[_TRAINED])

    def close(self) -> None:
        """Unmap the file."""
        self._slots.release()
        self._map.close()
