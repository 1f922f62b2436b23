"""What every test stands on: state and caches of its own, and the real images where they are."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import forked_workers, forks, shared
from support.paths import REPOSITORY
from support.virtual_environments import make_virtual_environment

from benchbench.executors import worker_process
from benchbench.protocol.shared_counter import SharedCounter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from support.virtual_environments import VirtualEnvironment


OF_THE_USER = (
    "BENCH_DATA",
    "BENCH_DEBUG",
    "BENCH_DISABLE",
    "BENCH_NO_PLUGINS",
    "BENCH_PLUGINS",
    "BENCH_TENSORBOARD",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_TRACKING_URI",
)


if "PYTEST_XDIST_WORKER" in os.environ:
    # Threads of torch that spin while they wait take the cores from the tests beside this one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """A shell lets its background jobs ignore SIGINT, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _no_telemetry() -> None:
    """No test of ours, and no process that it starts, reports to anyone."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # Of a dozen processes that mlflow ui starts, no test needs more than the first.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"


@pytest.fixture(autouse=True, scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All tests of all processes of pytest-xdist, and of those they start, have one folder for what is made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    os.environ.setdefault(shared.VARIABLE, str(folder))


@pytest.fixture(autouse=True, scope="session")
def _forked_workers(_no_telemetry: None, _shared: None) -> None:
    """Start most calls and workers as forks of processes that have imported what they need."""
    if sys.platform == "linux":
        forked_workers.serve_workers()
        forked_workers.use_forks(worker_process)
        forks.environment_of_server()  # asks for the first time


@pytest.fixture
def new_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each worker that this process starts be a new process, for tests of just that."""
    monkeypatch.setattr(worker_process, "subprocess", subprocess)


@pytest.fixture(autouse=True)
def _frozen() -> None:
    """Let collections of garbage, of which each trial makes some, pass over what is there, as in a worker."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _environment_of_modules(_forked_workers: None) -> Iterator[None]:
    """Remove or restore variables that the tests of a module, or what they share, have changed."""
    with environment_kept():
        yield


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Remove or restore variables that a test, or what it calls, has changed."""
    with environment_kept():
        yield


@contextmanager
def environment_kept() -> Iterator[None]:
    """Put the environment back afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _own_folders(
    _shared: None, _environment: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test has caches and state of its own, and nothing from the user's environment reaches it."""
    base = tmp_path_factory.mktemp("bench")
    for name in OF_THE_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(shared.share_catalogs(base / "cache")))
    monkeypatch.setenv("BENCH_STATE", str(base / "state"))


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the working folder for the length of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def cache(_shared: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder for all tests of a module, so that only the first fills it."""
    return shared.share_caches(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def one_cache(_own_folders: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test use the cache of its module."""
    monkeypatch.setenv("BENCH_CACHE", str(cache))


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[SharedCounter]:
    """Return the counter of a trial that runs in this process."""
    made = SharedCounter(tmp_path / "counter")
    yield made
    made.close()


@pytest.fixture(scope="session")
def tinyimage10_zip() -> Path:
    """Return the ready-cut archive, or skip where it is not to be had."""
    path = Path(os.environ.get("BENCH_TEST_DATA") or REPOSITORY.parent / "shared" / "data" / "tinyimage10.zip")
    if not path.exists():
        pytest.skip("tinyimage10.zip is not here; BENCH_TEST_DATA=PATH names it")
    return path


@pytest.fixture
def virtual_environment(tmp_path: Path) -> VirtualEnvironment:
    """Return a fresh virtual environment, in which a test installs what it likes."""
    return make_virtual_environment(tmp_path / "venv")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with MLflow's tables and nothing in them: making one takes seconds, copying it none."""
    from benchbench.tracking.client import make_database

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    make_database(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a browser, or skip where there is none."""
    from support.browsers import chromium

    with chromium() as found:
        yield found
