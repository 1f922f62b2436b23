"""Our modules in processes of their own: how one is started, asked and listened to, and how it died."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_END = b"\n"
"""The line after the last answer."""

LAST_LINES = 5
"""How many of the last lines that a process printed are kept, to tell why it died."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended, with all that it answered.

    ``code`` is its exit code, or minus the number of the signal that ended it; ``last_lines`` are the last that it
    wrote to standard error.
    """

    answers: tuple[bytes, ...]
    code: int
    last_lines: tuple[str, ...]

    @property
    def death(self) -> str:
        """How it ended, with the last line that it printed: ``ended with exit code 1: ImportError: no torch``."""
        return ": ".join([f"ended with {exit_reason(self.code)}", *self.last_lines[-1:]])


def module_command(name: str, *arguments: str, is_unbuffered: bool = False) -> list[str]:
    """Return the command that runs a module in this interpreter, with its streams unbuffered if asked for."""
    # -P: the working folder is not a place to import from.
    return [sys.executable, "-P", *(["-u"] if is_unbuffered else []), "-m", name, *arguments]


def ask(module: str, request: bytes = b"", *, on_answer: Callable[[bytes], None] = lambda _: None) -> Ended:
    """Start a module of ours that calls :func:`serve`, send it a request, and wait until it ends.

    ``on_answer`` gets each answer as it comes. If it raises an exception, or the user presses Ctrl-C, the process is
    killed.
    """
    import subprocess
    import tempfile

    answers = []
    receiving, sending = os.pipe()
    with os.fdopen(receiving, "rb") as lines, tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as printed:
        try:
            asked.write(request)
            asked.seek(0)
            # Files, since a process that outlives the one that started it may keep a pipe open.
            process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
                module_command(module, str(sending)),
                stdin=asked,
                stdout=subprocess.DEVNULL,
                stderr=printed,
                pass_fds=(sending,),
            )
        finally:
            os.close(sending)
        with process:
            try:
                for line in lines:
                    if line == _END:  # a process that outlives this one may keep the pipe open
                        break
                    if line.endswith(b"\n"):  # else it died while it wrote
                        answers.append(line)
                        on_answer(line)
                process.wait()
            except BaseException:
                process.kill()
                raise
        printed.seek(0)
        return Ended(tuple(answers), process.returncode, last_lines(printed.read()))


def serve(respond: Callable[[bytes, Callable[[bytes], None]], None]) -> NoReturn:
    """Be the process that :func:`ask` started: call ``respond`` with the request and with what sends an answer.

    An answer must not have line breaks in it.
    """
    request = sys.stdin.buffer.read()
    # Not standard output, since plugins may print there.
    with os.fdopen(int(sys.argv[1]), "wb") as answers:

        def send(answer: bytes) -> None:
            answers.write(answer + b"\n")
            answers.flush()

        respond(request, send)
        answers.write(_END)
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.terminate()
    # A thread that a plugin started must not keep the answer waiting.
    os._exit(0)


def exit_reason(code: int) -> str:
    """Return what ended a process: ``exit code 1``, or ``signal SIGSEGV`` for a code below zero."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def last_lines(output: bytes) -> tuple[str, ...]:
    """Return the last lines of what a process wrote."""
    return tuple(output.decode(errors="replace").strip().splitlines()[-LAST_LINES:])
