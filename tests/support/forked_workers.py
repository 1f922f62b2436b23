"""Workers as forks of one process that has imported torch and waits.

A worker that is started anew spends five seconds of a processor on importing torch.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
from support.fork_server import Fork, Server, is_alike, serve

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


def use_forks(worker_process: ModuleType) -> None:
    """Let the module that starts workers fork them, if that makes no difference."""
    worker_process.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": _popen})  # type: ignore[attr-defined]


def serve_workers() -> None:
    """Start the process that forks workers for this process and those that it starts; it ends with this one."""
    # It is not waited for: until it listens, workers are started anew.
    address = Server.start(__file__, os.environ).address
    os.environ[ADDRESS] = str(address)
    _environment_file(address).write_text(json.dumps(dict(os.environ)), encoding="utf-8")


def _environment_file(address: Path) -> Path:
    return address.with_name("environment.json")


def _popen(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str] | ForkedWorker:
    if _fits(options["env"]):
        with suppress(FileNotFoundError):  # while it does not listen yet
            return ForkedWorker(arguments, options["env"], options["pass_fds"])
    return subprocess.Popen(arguments, **options)


def _fits(environment: Mapping[str, str]) -> bool:
    """Tell whether a fork would be what a new process is: in much the same environment."""
    if ADDRESS not in environment:
        return False
    of_server = json.loads(_environment_file(Path(environment[ADDRESS])).read_text(encoding="utf-8"))
    return is_alike(environment, of_server, free_prefixes=FREE_PREFIXES)


class ForkedWorker(Fork):
    """A worker in a process group of its own, whose output is read from a pipe."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], passed: Sequence[int]) -> None:
        request = {"folder": str(Path.cwd()), "environment": dict(environment), "counter": arguments[-1]}
        reading, writing = os.pipe()
        self.stdout = io.TextIOWrapper(os.fdopen(reading, "rb"), encoding="utf-8", errors="replace")
        with ExitStack() as stack:
            stack.callback(self.stdout.close)
            with io.FileIO(writing, "w"):
                super().__init__(Path(environment[ADDRESS]), request, [*passed, writing], has_own_group=True)
            stack.pop_all()


def _become(request: dict[str, Any], descriptors: list[int]) -> int:
    """Make this process what a new worker would be, and work."""
    channel, output = descriptors
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    for number in (1, 2):
        stream = io.TextIOWrapper(os.fdopen(number, "wb", 0), "utf-8", "backslashreplace", write_through=True)
        setattr(sys, "stdout" if number == 1 else "stderr", stream)
    sys.argv[:] = ["worker", str(channel), request["counter"]]
    random.seed()
    np.random.seed()  # noqa: NPY002 - the global generator, which plugins may use

    import torch

    from benchbench.worker import main
    from benchbench.worker.accelerate import acceleration

    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        acceleration.own_num_threads = torch.get_num_threads()
    sys.modules["__main__"] = main  # what processes of a plugin's import
    main.main()
    return 0


if __name__ == "__main__":
    del sys.path[0]
    serve(Path(sys.argv[1]), PRELOADED.split(), _become)
