"""Workers as forks of one process that has imported torch and waits.

A worker that is started anew spends five seconds of a processor on importing torch. A fork has its own memory,
descriptors, signals, process group and exit code, like any other process. But its parent is the process that forked it,
and sets of texts have the same order in all forks. Calls of ``bench`` that are started anew, as those that are killed
are, start their workers anew too.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from select import select
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

ADDRESS = "FORKED_WORKERS"
"""The variable with the address of the process that forks workers: processes of one test run share it."""

FREE_PREFIXES = (
    "BENCH_",
    "CUDA_VISIBLE_DEVICES",
    "MLFLOW_",
    "OMP_NUM_THREADS",
    "PYTEST_",
    "PYTHONIOENCODING",
    "TMPDIR",
)
"""Variables that change nothing about importing torch."""

PRELOADED = """
benchbench.plugin.registry benchbench.worker.main benchbench.worker.system_metrics benchbench.worker.trial
sympy.tensor.tensor torch._dynamo torch._inductor.ir torch._inductor.sizevars torch.export.exported_program
"""
"""What trials import while they run: torch's optimizers import its compiler when they are made, for two seconds."""

MAX_REQUEST = 1 << 18


def use_forks(worker_process: ModuleType) -> None:
    """Let the module that starts workers fork them, if that makes no difference."""
    worker_process.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _popen})  # type: ignore[attr-defined]


def serve_workers() -> None:
    """Start the process that forks workers for this process and those that it starts; it ends with this one."""
    address = Path(tempfile.mkdtemp(prefix="forks-"), "workers")
    os.environ[ADDRESS] = str(address)
    _environment_file(address).write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    # It is not waited for: until it listens, workers are started anew.
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C is for the tests
    )
    atexit.register(process.communicate)  # the end of its input ends it


def _environment_file(address: Path) -> Path:
    return address.with_name("environment.json")


def _popen(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str] | ForkedWorker:
    with suppress(ConnectionRefusedError, FileNotFoundError):  # while it does not listen yet
        if _fits(options["env"]):
            return ForkedWorker(arguments, options["env"], options["pass_fds"])
    return subprocess.Popen(arguments, **options)


def _fits(environment: Mapping[str, str]) -> bool:
    """Tell whether a fork would be what a new process is: in much the same environment."""
    if ADDRESS not in environment or any(name.startswith("COVERAGE_PROCESS") for name in environment):
        return False
    file = _environment_file(Path(environment[ADDRESS]))
    differing = dict(set(environment.items()) ^ set(json.loads(file.read_text(encoding="utf-8")).items()))
    return all(name.startswith(FREE_PREFIXES) for name in differing)


class ForkedWorker:
    """What a driver uses of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], passed: Sequence[int]) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(environment[ADDRESS])
        request = {"folder": str(Path.cwd()), "environment": dict(environment), "counter": arguments[-1]}
        reading, writing = os.pipe()
        socket.send_fds(self._connection, [json.dumps(request).encode()], [*passed, writing])
        os.close(writing)
        self.pid = int(self._connection.recv(MAX_REQUEST))
        self.stdout = io.TextIOWrapper(os.fdopen(reading, "rb"), encoding="utf-8", errors="replace")
        self.returncode: int | None = None
        self._has_ended = threading.Event()
        threading.Thread(target=self._hear_end, daemon=True).start()

    def wait(self, timeout: float | None = None) -> int:
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def _hear_end(self) -> None:
        self.returncode = int(self._connection.recv(MAX_REQUEST) or -signal.SIGKILL)
        self._connection.close()
        self._has_ended.set()


def _serve(address: Path) -> None:
    for name in PRELOADED.split():
        with suppress(ModuleNotFoundError):  # other releases of torch have other modules
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those that report on workers end
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(address))
        listening.listen()
        while sys.stdin not in (ready := select([listening, sys.stdin], [], [])[0]):
            assert ready
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                _report_on_a_worker(connection)
            connection.close()
    shutil.rmtree(address.parent)


def _report_on_a_worker(connection: socket.socket) -> None:
    """Fork a worker as asked, and tell its pid and then its exit code; ends the process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, (channel, output), *_ = socket.recv_fds(connection, MAX_REQUEST, 2)
    pid = os.fork()
    if not pid:
        connection.close()
        _become(json.loads(text), channel, output)
    os.setpgid(pid, pid)  # here as well, so that it leads its group once its driver knows it
    os.close(channel)
    os.close(output)
    with connection:
        connection.send(b"%d" % pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(ConnectionError):  # if its driver was killed
            connection.send(b"%d" % code)
    os._exit(0)


def _become(request: dict[str, Any], channel: int, output: int) -> None:
    """Make this process what a new worker would be, and end it as one."""
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for number in (1, 2):
        stream = io.TextIOWrapper(os.fdopen(number, "wb", 0), "utf-8", "backslashreplace", write_through=True)
        setattr(sys, "stdout" if number == 1 else "stderr", stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = ["worker", str(channel), request["counter"]]
    random.seed()
    np.random.seed()  # noqa: NPY002 - the global generator, which plugins may use
    code = 1
    try:
        code = _work()
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
    os._exit(code)


def _work() -> int:
    import torch

    from benchbench.worker import main

    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    sys.modules["__main__"] = main  # what processes of a plugin's import
    try:
        main.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
