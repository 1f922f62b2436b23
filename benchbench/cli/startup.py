"""Sets up standard streams, signals and warnings, so that nothing inherited from a shell or scheduler ends a trial.

Standard streams may be closed, full, or pipes that nobody reads any more. Warnings may have been turned into errors.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TextIO

    from _typeshed import ReadableBuffer


_WAIT_SECONDS = 1.0


class LastingOutput(io.FileIO):
    """A file whose writes never fail: it keeps the first ``error``, and discards everything written after it."""

    error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or drop what can no longer be written."""
        if self.error is None:
            try:
                while (written := super().write(data)) is None:  # it does not block, and its reader is slow
                    select.select([], [self], [], _WAIT_SECONDS)
            except OSError as error:
                self.error = error
            else:
                return written
        return memoryview(data).nbytes


def prepare_process(interrupt: Callable[[int, FrameType | None], None]) -> None:
    """Make streams, signals and warnings fit for a process that trains; ``interrupt`` handles signals that end it."""
    open_closed_streams()
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        signal.signal(signal.SIGHUP, interrupt)
    if any(action == "error" for action, *_ in warnings.filters):
        # Libraries warn. python -W error is for those who develop them.
        warnings.simplefilter("default")


def open_closed_streams() -> None:
    """Open the null device for each of descriptors 0, 1 and 2 that is closed, so that no file gets its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def output_error() -> OSError | None:
    """Return the error that kept standard output from being written; a reader that closed its pipe does not count."""
    with suppress(OSError):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, LastingOutput) else None
    return None if isinstance(error, BrokenPipeError) else error


def _lasting(stream: TextIO) -> TextIO:
    """Return the stream on top of a :class:`LastingOutput`; a stream that is not a system file is returned as it is."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # A terminal or pipe that takes ASCII alone must not end a trial over the name of a class.
    if stream not in (sys.__stdout__, sys.__stderr__):
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(LastingOutput(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
