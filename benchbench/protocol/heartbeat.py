"""The few integers that a worker and the driver share while a trial runs, in a small mapped file.

The worker counts batches, which the display reads as often as it likes; the driver asks for a stop. Neither ever
waits for the other.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from benchbench.errors import TrialError

if TYPE_CHECKING:
    from pathlib import Path

_TRAINED, _EVALUATED, _STOP = range(3)
_NUM_BYTES = 3 * 8


class StoppedError(TrialError):
    """The trial was asked to stop."""


class Heartbeat:
    """Batches trained and evaluated in the running trial, and whether it should stop.

    Both sides map the same file; each integer has one writer, and aligned 8-byte stores are whole.
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
        """Count a training batch; raises :class:`StoppedError` where a stop was asked for."""
        self._slots[_TRAINED] += 1
        if self._slots[_STOP]:
            raise StoppedError("stopped on request")

    def evaluated(self) -> None:
        """Count an evaluation batch; raises :class:`StoppedError` where a stop was asked for."""
        self._slots[_EVALUATED] += 1
        if self._slots[_STOP]:
            raise StoppedError("stopped on request")

    def restart(self, *, num_trained: int) -> None:
        """Begin a trial, after the batches already trained where it is resumed."""
        self._slots[_TRAINED] = num_trained
        self._slots[_EVALUATED] = 0

    def ask_to_stop(self) -> None:
        """Make the worker's next count raise."""
        self._slots[_STOP] = 1

    @property
    def num_trained(self) -> int:
        """Return the training batches of the running trial so far."""
        return int(self._slots[_TRAINED])

    def close(self) -> None:
        """Unmap the file."""
        self._slots.release()
        self._map.close()
