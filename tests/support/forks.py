"""Calls of ``bench`` as forks of one process that has imported everything and waits.

A call that is started anew spends three seconds of a processor on importing MLflow, pandas and our own modules. Forks
start forks as their workers.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from support import forked_workers
from support.fork_server import Fork, serve, start_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FREE_PREFIXES = ("BENCH_", "COLUMNS", "CUDA_VISIBLE_DEVICES", "KMP_", "MLFLOW_", "OMP_", "PYTEST_", "PYTHONPATH")
"""Variables that change nothing about an import, except for the paths of modules, which a fork adds itself."""

PRELOADED = """
benchbench.cli.main benchbench.driver.compare benchbench.driver.grid benchbench.driver.predict benchbench.driver.report
benchbench.driver.run benchbench.driver.time benchbench.driver.transfer benchbench.executors.local
benchbench.report.run_figures benchbench.report.grid_page benchbench.report.page benchbench.tracking.exporting
benchbench.tracking.importing mlflow mlflow.store.db.utils mlflow.store.tracking.rest_store
mlflow.store.tracking.sqlalchemy_store
"""


STARTS_WITHIN_SECONDS = 120
WITHOUT_TORCH = [["run"], ["grid"], ["time"], ["compare"], ["report"], ["runs"], ["predict"]]
"""Commands whose driver leaves torch to its workers."""


def fits(environment: Mapping[str, str]) -> bool:
    """Tell whether a fork would be what a new process is: on Linux, in much the same environment."""
    if sys.platform != "linux" or any(name.startswith("COVERAGE_PROCESS") for name in environment):
        return False
    differing = dict(set(environment.items()) ^ set(server_environment().items()))
    return all(name.startswith(FREE_PREFIXES) for name in differing)


class ForkedCall(Fork):
    """A call of ``bench``, whose first argument is the program; its output goes into files.

    With ``-c`` as the second argument, the third is a script, as for Python.
    """

    def __init__(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.args = list(arguments)
        self._files = [os.memfd_create(name) for name in ("stdout", "stderr")]
        request = {"arguments": self.args, "folder": str(folder), "environment": dict(environment)}
        super().__init__(_server(), request, self._files)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end, and return all of its output and errors."""
        self.wait(timeout)
        output, errors = map(_read_and_close, self._files)
        return output, errors


def _read_and_close(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as file:
        file.seek(0)
        return file.read()


def call(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a call of ``bench`` in a fork, and wait for its end; kills one that takes too long."""
    process = ForkedCall(arguments, folder=folder, environment=environment)
    try:
        output, errors = process.communicate(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), output, errors)


@functools.cache
def server_environment() -> dict[str, str]:
    """Return the environment of the first call: ask for it before a test changes its own."""
    return dict(os.environ)


@functools.cache
def _server() -> Path:
    """Return the address of the server, which listens from now on."""
    # Threads of libraries would not survive the fork, so there are none.
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    address = start_server(__file__, server_environment() | variables)
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while not address.exists():
        assert time.monotonic() < deadline, "the server for calls of bench does not start"
        time.sleep(0.05)
    return address


def _become(request: dict[str, Any], descriptors: list[int]) -> int:
    """Make this process what a new one would be, run the call, and return its exit code."""
    for target, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), *descriptors)):
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv[:] = request["arguments"]
    sys.path[0:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    try:
        return _exit_code()
    except Exception:  # noqa: BLE001 - as Python does, if a call has not set something else
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _exit_code() -> int:
    from benchbench.cli.main import main

    try:
        if sys.argv[1:2] == ["-c"]:  # a script, as Python runs it
            exec(compile(sys.argv[2], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own
        else:
            main()
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        return end.code or 0
    finally:
        if sys.argv[1:2] in WITHOUT_TORCH and "torch" in sys.modules:
            print("the driver has imported torch", file=sys.stderr, flush=True)
            os._exit(99)
    return 0


if __name__ == "__main__":
    del sys.path[0]
    forked_workers.use_forks(importlib.import_module("benchbench.executors.worker_process"))
    serve(Path(sys.argv[1]), PRELOADED.split(), _become)
