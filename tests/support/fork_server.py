"""A process that has imported what others need and waits: each request makes it fork, which starts faster than Python.

A fork has its own memory, descriptors, signals and exit code, like any other process. But its parent is not the process
that asked for it, and sets of texts have the same order in all forks.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Become = Callable[[dict[str, Any], list[int]], int]
    """Makes a fork what a request and its descriptors ask for, does its work, and returns its exit code."""

MAX_REQUEST = 1 << 18
MAX_DESCRIPTORS = 2


class Fork:
    """A process that a server has forked: what tests and drivers use of ``subprocess.Popen``.

    ``request`` has its ``folder`` and ``environment``, and what the server's script needs. The process may lead a
    process group of its own.

    Raises :class:`OSError` while the server does not listen yet, or if it has ended.
    """

    def __init__(
        self, address: Path, request: Mapping[str, Any], descriptors: Sequence[int], *, has_own_group: bool = False
    ) -> None:
        text = json.dumps({**request, "has_own_group": has_own_group})
        with ExitStack() as stack:
            self._connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            self._connection.connect(str(address))
            socket.send_fds(self._connection, [text.encode()], descriptors)
            told = self._connection.recv(MAX_REQUEST)
            if not told:
                raise ConnectionResetError(f"the server of forks at {address} has ended")
            stack.pop_all()
        self.pid = int(told)
        self.returncode: int | None = None
        self._has_ended = threading.Event()
        threading.Thread(target=self._hear_end, daemon=True).start()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _hear_end(self) -> None:
        with self._connection:
            self.returncode = int(self._connection.recv(MAX_REQUEST) or -signal.SIGKILL)
        self._has_ended.set()


@dataclass(frozen=True)
class Server:
    """The process that forks, and the address that it listens at once it has imported all that it needs."""

    address: Path
    process: subprocess.Popen[bytes]

    @staticmethod
    def start(script: str, environment: Mapping[str, str]) -> Server:
        """Start a script that serves; it ends with this process, and not by Ctrl-C, which is for the tests."""
        address = Path(tempfile.mkdtemp(prefix="forks-"), "server")
        command = [sys.executable, "-P", script, str(address)]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0
        )
        server = Server(address, process)
        atexit.register(server.end)
        return server

    def wait_until_it_listens(self) -> None:
        """Return once a fork can be asked for."""
        while not self.address.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server of forks ended with {self.process.returncode}")
            time.sleep(0.05)

    def end(self) -> None:
        """End it, by the end of its input."""
        self.process.communicate()
        shutil.rmtree(self.address.parent, ignore_errors=True)


def is_alike(environment: Mapping[str, str], of_server: Mapping[str, str], *, free_prefixes: tuple[str, ...]) -> bool:
    """Tell whether a fork would be what a new process is: in the environment of its server, but for free variables."""
    differing = dict(set(environment.items()) ^ set(of_server.items()))
    is_measured = any(name.startswith("COVERAGE_PROCESS") for name in environment)
    return not is_measured and all(name.startswith(free_prefixes) for name in differing)


def serve(address: Path, modules: Iterable[str], become: Become) -> None:
    """Import modules, and fork for each request until the input ends."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # other releases of libraries have other modules
            if name.startswith("benchbench"):
                raise
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all of its memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those that report on forks end
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        not_yet = address.with_suffix(".new")
        listening.bind(str(not_yet))
        listening.listen()
        not_yet.rename(address)
        while sys.stdin not in (ready := select([listening, sys.stdin], [], [])[0]):
            assert ready
            connection, _ = listening.accept()
            if not os.fork():
                try:
                    listening.close()
                    _report(connection, become)
                finally:
                    os._exit(1)
            connection.close()
    os._exit(0)


def _report(connection: socket.socket, become: Become) -> NoReturn:
    """Fork what a request asks for, and tell its pid and then its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, descriptors, *_ = socket.recv_fds(connection, MAX_REQUEST, MAX_DESCRIPTORS)
    request = json.loads(text)
    pid = os.fork()
    if not pid:
        connection.close()
        _work(request, descriptors, become)
    if request["has_own_group"]:
        os.setpgid(pid, pid)  # here as well, so that it leads its group once its driver knows it
    for descriptor in descriptors:
        os.close(descriptor)
    with connection:
        connection.send(b"%d" % pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(ConnectionError):  # if the process that asked was killed
            connection.send(b"%d" % code)
    os._exit(0)


def _work(request: dict[str, Any], descriptors: list[int], become: Become) -> NoReturn:
    """End as Python does, except that memory is not freed object by object, which would copy it."""
    code = 1
    try:
        if request["has_own_group"]:
            os.setpgid(0, 0)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        code = become(request, descriptors)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            code = end.code or 0
        else:
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as Python does
        sys.excepthook(*sys.exc_info())
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
