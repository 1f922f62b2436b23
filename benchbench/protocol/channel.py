"""The line between a driver and one of its workers: a pair of sockets that no other process gets."""

from __future__ import annotations

import os
import socket
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from benchbench.protocol.messages import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.protocol.messages import Answer, Request

_CHUNK_BYTES = 2**16


class Channel:
    """One end of the line. Messages are sent by one thread at a time, and read by one thread at a time.

    Neither end is inherited: programs that a process starts do not get it, and a child that a process forks closes
    it. So each side notices when the other has ended, whatever children that left behind. No buffered file is used,
    since a forked child would wait for ever for the lock of one that another thread was reading.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.set_inheritable(False)
        self._connection = connection
        _channels.add(self)

    def send(self, message: Request | Answer) -> None:
        """Send a message; raises :class:`ConnectionError` if the other side is gone."""
        self._connection.sendall(encode(message).encode() + b"\n")

    def messages(self) -> Iterator[Request | Answer]:
        """Yield messages as they come, until the other side sends no more."""
        rest = b""
        # A side that ended with messages unread resets the connection instead of closing it.
        with suppress(ConnectionResetError):
            while chunk := self._connection.recv(_CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(decode, lines)

    def finish(self) -> None:
        """Tell the other side that nothing more will be sent."""
        with suppress(OSError):  # it may be gone
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


def _close_all() -> None:
    for channel in tuple(_channels):
        channel.close()


os.register_at_fork(after_in_child=_close_all)
