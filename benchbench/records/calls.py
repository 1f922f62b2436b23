"""Which calls of bench are alive.

A call holds a lock for as long as it runs, and the system drops the lock when the process dies, whatever kills it.
Clocks, process ids and host names decide nothing: each can change or mean something else in a container.

Some shared filesystems do not pass locks on to other hosts. So a call also gives signs of life: it writes a growing
number to a file, and another host believes that a call is dead only if the lock is free and the number stays the same.
All numbers are watched at the same time. A host that was restarted knows that its earlier calls are dead.

::

    .bench/calls/
        <call>.lock     held while the call runs
        <call>.alive    a number that grows
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.records.host_identity import Host, this_host
from benchbench.records.state import not_written, state_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

SIGN_SECONDS = 2.0
"""Between two signs of life."""

_SIGN = b"%016d"

WATCH_SECONDS = 15.0
"""How long a call on another host must give no sign of life to count as dead; a sign ends the wait at once."""

_POLL_SECONDS = 0.2
_dead: set[Call] = set()
_watched: dict[Path, tuple[bytes, float]] = {}
"""Signs of life that were read, and when."""


@dataclass(frozen=True)
class Call:
    """A call of bench.

    ``kernel`` is the one that knows its lock; empty if the filesystem has no locks. ``host`` stays the same when its
    host is restarted, which the kernel does not; empty if nothing told.
    """

    id: str
    kernel: str
    host: str = ""

    def is_alive(self, *, watch_seconds: float = WATCH_SECONDS, here: Host | None = None) -> bool:
        """Tell whether the call still runs. Waits up to ``watch_seconds`` if it may have died on another host."""
        if self in _dead:
            return False
        if _is_locked(self._path("lock")):
            return True
        if self._may_be_elsewhere(here or this_host()) and self._gives_signs(watch_seconds):
            return True
        _dead.add(self)
        return False

    def drop_files(self, here: Host) -> None:
        """Delete the files of a call that is dead, as far as they may be deleted."""
        endings = ["alive"] if self._may_be_elsewhere(here) else ["alive", "lock"]
        for ending in endings:
            with suppress(OSError):  # another user's
                self._path(ending).unlink()

    def _may_be_elsewhere(self, here: Host) -> bool:
        was_restarted = bool(self.host) and self.host == here.name
        return self.kernel != here.kernel and not was_restarted

    def _gives_signs(self, watch_seconds: float) -> bool:
        path = self._path("alive")
        _watch_all(path.parent)
        before, since = _watched.get(path, (self._sign(), 0.0))
        while before is not None and (now := self._sign()) is not None:
            if now != before:
                _watched[path] = (now, time.monotonic())
                return True
            if time.monotonic() >= since + watch_seconds:
                break
            time.sleep(_POLL_SECONDS)
        return False

    def _sign(self) -> bytes | None:
        # Opened each time: NFS asks the server for news when a file is opened, and not before.
        with suppress(OSError):
            return self._path("alive").read_bytes()
        return None

    def _path(self, ending: str) -> Path:
        return state_folder().absolute() / "calls" / f"{self.id}.{ending}"


NOBODY = Call("", "")
"""A call that ended long ago."""


@contextmanager
def calling() -> Iterator[Call]:
    """Hold a lock and give signs of life until the block ends.

    Raises :class:`BenchError` if the folder of our state cannot be written.
    """
    name = uuid.uuid4().hex[:16]
    folder = state_folder().absolute() / "calls"
    lock, sign = folder / f"{name}.lock", folder / f"{name}.alive"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sign.write_bytes(_SIGN % 0)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise not_written(folder, error) from error
    ended = threading.Event()
    thread = threading.Thread(target=_give_signs, args=(sign, ended), name="bench-alive", daemon=True)
    try:
        here = this_host()
        call = Call(name, here.kernel, here.name) if _lock(descriptor) else Call(name, "", "")
        thread.start()
        yield call
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
        for path in (lock, sign):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def drop_dead(*, but: Collection[Call]) -> None:
    """Delete the files of the calls that this process has seen dead, except those in ``but``.

    The lock of a call on another host stays: if that host was only suspended, its own processes go by the lock.
    """
    here = this_host()
    for call in _dead.difference(but, (NOBODY,)):
        call.drop_files(here)


def _watch_all(folder: Path) -> None:
    """Read all signs that were not read yet, so that the time to watch them passes once for all."""
    for path in folder.glob("*.alive"):
        if path not in _watched:
            with suppress(OSError):
                _watched[path] = (path.read_bytes(), time.monotonic())


def _lock(descriptor: int) -> bool:
    """Lock the file; return False if its filesystem has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Tell whether someone holds the lock; asking changes nothing, also in a folder that may only be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a filesystem without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _give_signs(path: Path, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(SIGN_SECONDS):
        number += 1
        # In place: on a full disk, a truncated file would stay empty. A sign that cannot be written ends no trial. The
        # file is made again if another host took this one, while it was suspended, for dead.
        with suppress(OSError), path.open("r+b" if path.exists() else "xb", buffering=0) as file:
            file.write(_SIGN % number)
