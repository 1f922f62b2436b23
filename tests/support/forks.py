"""Calls of ``bench`` as forks of one process that has imported everything and waits.

A call that is started anew spends three seconds of a processor on importing MLflow, pandas and our own modules. A fork
has its own memory, descriptors, signals and exit code, like any other process, and starts workers as any call does.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FREE_PREFIXES = ("BENCH_", "KMP_", "MLFLOW_", "OMP_", "PYTEST_", "PYTHONPATH")
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
    if sys.platform != "linux" or any(name.startswith("COVERAGE_PROCESS") for name in environment):
        return False
    differing = dict(set(environment.items()) ^ set(server_environment().items()))
    return all(name.startswith(FREE_PREFIXES) for name in differing)


def call(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a call of ``bench``, whose first argument is the program, in a fork, and wait for its end.

    With ``-c`` as the second argument, the third is a script, as for Python.
    """
    with tempfile.TemporaryDirectory() as name:
        output, errors = Path(name, "stdout"), Path(name, "stderr")
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "stdout": str(output),
            "stderr": str(errors),
        }
        code = _ask(json.dumps(request), timeout_seconds)
        texts = [path.read_text(encoding="utf-8") for path in (output, errors)]
    return subprocess.CompletedProcess(list(arguments), code, *texts)


def _ask(request: str, timeout_seconds: float) -> int:
    """Return the exit code of a call; kills one that takes too long."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{request}\n".encode())
    pid = int(server.stdout.readline())
    if not select([server.stdout], [], [], timeout_seconds)[0]:
        os.kill(pid, signal.SIGKILL)
        server.stdout.readline()
        raise subprocess.TimeoutExpired("bench", timeout_seconds)
    return int(server.stdout.readline())


@functools.cache
def server_environment() -> dict[str, str]:
    """Return the environment of the first call: ask for it before a test changes its own."""
    return dict(os.environ)


@functools.cache
def _server() -> subprocess.Popen[bytes]:
    # Threads of libraries would not survive the fork, so there are none.
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # Without buffers, so that a line that has been read leaves nothing behind that select does not see.
    process = subprocess.Popen(
        [sys.executable, "-P", __file__],
        env=server_environment() | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    atexit.register(process.communicate)  # the end of its input ends it
    return process


def _serve() -> None:
    """Fork for each request, and tell the pid of the fork and then its exit code; ends in a fork or without input."""
    for name in PRELOADED.split():
        __import__(name)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support import forked_workers

    del sys.path[0]
    forked_workers.use_forks(sys.modules["benchbench.executors.worker_process"])
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all of its memory
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
            return
        _tell(pid)
        _tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _tell(number: int) -> None:
    # Not by sys.stdout, whose buffer a fork would inherit.
    os.write(1, b"%d\n" % number)


def _become(request: dict[str, Any]) -> None:
    """Make this process what a new one would be."""
    for descriptor, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["arguments"]
    sys.path[0:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _exit_code() -> int:
    """Run the call, and return its exit code; raises what Python would show."""
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


def _end(code: int) -> None:
    """End as Python does, except that memory is not freed object by object, which would copy it."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
    _end(_exit_code())
