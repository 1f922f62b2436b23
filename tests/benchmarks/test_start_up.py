"""From Enter to the first word, and to the first step."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.interleaved_rounds import (
    CLOCK,
    LOOPS,
    TIMEOUT_SECONDS,
    InterleavedRounds,
    Sample,
    clean_environment,
    column,
)
from benchmarks.ratios import NotRun, Row

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.benchmark(timer=CLOCK)
PROGRAM = Path(sysconfig.get_path("scripts")) / "bench"
PLUGINS = (Path(__file__).parents[1] / "plugins" / "tiny.py", Path(__file__).with_name("stepped.py"))
SCRIPT = "a script that imports torch"
WITH_MLFLOW = "a script with MLflow"
POLL_SECONDS = 0.005


@pytest.fixture
def folders(tmp_path: Path, empty_database: Path) -> Callable[[], Path]:
    """Return what makes a working folder with MLflow's tables in it, as all but the first trial find it."""

    def make() -> Path:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
        return folder

    return make


def seconds_of(words: tuple[object, ...], **variables: str) -> Sample:
    began = time.perf_counter()
    environment = clean_environment() | variables
    subprocess.run([*map(str, words)], env=environment, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_SECONDS)
    return {"seconds": time.perf_counter() - began}


def seconds_until_marked(words: tuple[object, ...], folder: Path, **variables: str) -> Sample:
    """Return the seconds from the start of a program in ``folder`` until it makes the file ``stepped``."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*map(str, words)],
        cwd=folder,
        env=clean_environment() | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (folder / "stepped").exists():
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode} before its first step: {words}")
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    process.wait(TIMEOUT_SECONDS)
    return {"seconds": seconds}


def test_help(rounds: InterleavedRounds, shared_cache: Path, rows: list[Row | NotRun]) -> None:
    ours, others = rounds(
        partial(seconds_of, (PROGRAM, "--help"), BENCH_CACHE=str(shared_cache)),
        {SCRIPT: partial(seconds_of, (sys.executable, LOOPS / "plain.py", "--help"))},
        rounds=5,
    )
    rows.append(Row("`bench --help`", f"{SCRIPT}, --help", column(ours), column(others[SCRIPT])))


def test_enter_to_first_step(
    rounds: InterleavedRounds, folders: Callable[[], Path], shared_cache: Path, rows: list[Row | NotRun]
) -> None:
    def bench() -> Sample:
        folder = folders()
        files = [word for plugin in PLUGINS for word in ("--plugins", plugin)]
        chosen = ("--optimizer", "stepped", "--set", f"optimizer.mark={folder / 'stepped'}", "--epochs", "1")
        words = (PROGRAM, "run", "tiny", "digits", *files, *chosen)
        return seconds_until_marked(words, folder, BENCH_CACHE=str(shared_cache))

    def script() -> Sample:
        folder = folders()
        words = (sys.executable, LOOPS / "plain_first_step.py", f"sqlite:///{folder / 'mlflow.db'}", folder / "stepped")
        return seconds_until_marked(words, folder)

    bench()  # the first call writes the list of plugins and the decoded images
    ours, others = rounds(bench, {WITH_MLFLOW: script}, rounds=5)
    rows.append(Row("Enter to first step, `digits`", WITH_MLFLOW, column(ours), column(others[WITH_MLFLOW])))
