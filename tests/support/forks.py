"""Calls of ``bench`` as forks of one process that has imported everything and waits.

A call that is started anew spends three seconds of a processor on importing MLflow, pandas and our own modules. A
forked call forks its workers, too.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from support import forked_workers
from support.fork_server import Fork, Server, is_alike, serve

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


WITHOUT_TORCH = [["run"], ["grid"], ["time"], ["compare"], ["report"], ["runs"], ["predict"]]
"""Commands whose driver leaves torch to its workers."""


def fits(environment: Mapping[str, str]) -> bool:
    """Tell whether a fork would be what a new process is: on Linux, in much the same environment."""
    return sys.platform == "linux" and is_alike(environment, environment_of_server(), free_prefixes=FREE_PREFIXES)


class ForkedCall(Fork):
    """A call of ``bench``, whose first argument is the program; its output goes into files.

    With ``-c`` as the second argument, the third is a script, as for Python.
    """

    def __init__(self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.args = list(arguments)
        request = {"arguments": self.args, "folder": str(folder), "environment": dict(environment)}
        self._files = [os.fdopen(os.memfd_create(name), encoding="utf-8") for name in ("stdout", "stderr")]
        weakref.finalize(self, _close, self._files)
        super().__init__(_server().address, request, [file.fileno() for file in self._files])

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end, and return all of its output and errors."""
        self.wait(timeout)
        for file in self._files:
            file.seek(0)
        return self._files[0].read(), self._files[1].read()


def _close(files: Sequence[TextIO]) -> None:
    for file in files:
        file.close()


def call(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a call of ``bench`` in a fork, and wait for its end; kills one that takes too long."""
    process = ForkedCall(arguments, folder=folder, environment=environment)
    try:
        output, errors = process.communicate(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise subprocess.TimeoutExpired(process.args, timeout_seconds, *process.communicate()) from None
    return subprocess.CompletedProcess(process.args, process.wait(), output, errors)


@functools.cache
def environment_of_server() -> dict[str, str]:
    """Return the environment that this process had when it was first asked, before any test changed its own."""
    return dict(os.environ)


@functools.cache
def _server() -> Server:
    """Return the server, which listens."""
    # Threads of libraries would not survive the fork, so there are none.
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    server = Server.start(__file__, environment_of_server() | variables)
    server.wait_until_it_listens()
    return server


def _become(request: dict[str, Any], descriptors: list[int]) -> int:
    """Make this process what a new one would be, run the call, and return its exit code."""
    for target, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), *descriptors)):
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv[:] = request["arguments"]
    sys.path[0:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    try:
        return _exit_code()
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
    finally:
        if sys.argv[1:2] in WITHOUT_TORCH and "torch" in sys.modules:
            print("the driver has imported torch", file=sys.stderr, flush=True)
            os._exit(99)
    return 0


if __name__ == "__main__":
    del sys.path[0]
    forked_workers.use_forks(importlib.import_module("benchbench.executors.worker_process"))
    serve(Path(sys.argv[1]), PRELOADED.split(), _become)
