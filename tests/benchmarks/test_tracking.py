"""What bookkeeping costs: a grid of trials that do next to nothing, and a journal on its way to MLflow."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.interleaved_rounds import CLOCK, TIMEOUT_SECONDS, InterleavedRounds, Sample, clean_environment, column
from benchmarks.ratios import NotRun, Row
from support import journals

from benchbench.tracking import run_data
from benchbench.tracking.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.records.events import Event

pytestmark = pytest.mark.benchmark(timer=CLOCK)
PROGRAM = Path(sysconfig.get_path("scripts")) / "bench"
DOTS = Path(__file__).parents[1] / "plugins" / "dots.py"
NUM_TRIALS, NUM_TRIALS_QUICK = (20, 200), (4, 12)
NUM_EPOCHS = 35
ONE_BY_ONE = "log_metric and log_param, one by one"
GRID = """
name = "dots"
model = "line"
dataset = "dots"
epochs = 2
batch_size = 20
"""


def seconds_a_trial(folder: Path, number: int, *, database: Path, cache: Path) -> Sample:
    """Return the seconds of ``bench grid``, from its start to its end, by the number of its trials."""
    work_folder = folder / f"{number}-{len(list(folder.iterdir()))}"
    work_folder.mkdir()
    shutil.copy(database, work_folder / "mlflow.db")
    (work_folder / "grid.toml").write_text(f"{GRID}seeds = {list(range(number))}\n", encoding="utf-8")
    began = time.perf_counter()
    subprocess.run(
        [str(PROGRAM), "grid", "grid.toml", "--plugins", str(DOTS)],
        cwd=work_folder,
        env=clean_environment() | {"BENCH_CACHE": str(cache)},
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    return {"seconds": (time.perf_counter() - began) / number}


def test_a_trial_of_a_grid(
    rounds: InterleavedRounds, tmp_path: Path, empty_database: Path, shared_cache: Path, rows: list[Row | NotRun]
) -> None:
    few, many = NUM_TRIALS_QUICK if rounds.quick else NUM_TRIALS
    measure = partial(seconds_a_trial, tmp_path, database=empty_database, cache=shared_cache)
    measure(few)  # the first call writes the list of plugins and the decoded images
    against = f"in a grid of {few}"
    ours, others = rounds(partial(measure, many), {against: partial(measure, few)}, rounds=3)
    rows.append(Row(f"an empty trial, in a grid of {many}", against, column(ours), column(others[against])))


def test_a_journal_on_its_way_to_mlflow(
    rounds: InterleavedRounds, tmp_path: Path, empty_database: Path, rows: list[Row | NotRun]
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = Store.open(f"sqlite:///{tmp_path / 'mlflow.db'}")
    attempts = (f"20260101-000000-{number:08x}" for number in count())

    def deliver() -> Sample:
        journal = journals.write_journal(tmp_path, *events(next(attempts)))
        began = time.perf_counter()
        store.deliver(journal)
        return {"seconds": time.perf_counter() - began}

    def one_by_one() -> Sample:
        began = time.perf_counter()
        log_one_by_one(store)
        return {"seconds": time.perf_counter() - began}

    deliver()
    ours, others = rounds(deliver, {ONE_BY_ONE: one_by_one}, rounds=5)
    measured = f"a journal of {NUM_EPOCHS} epochs delivered to MLflow, SQLite"
    rows.append(Row(measured, ONE_BY_ONE, column(ours), column(others[ONE_BY_ONE])))


def events(attempt: str) -> Iterator[Event]:
    yield journals.started(attempt)
    yield from (journals.epoch(number) for number in range(1, NUM_EPOCHS + 1))
    yield journals.finished()


def log_one_by_one(store: Store) -> None:
    """Log the same params and epochs to a run of its own, as training scripts do."""
    run_id = store.client.create_run(store.experiment_id).info.run_id
    for key, value in journals.SPEC.flat().items():
        store.client.log_param(run_id, key, value)
    for number in range(1, NUM_EPOCHS + 1):
        for point in run_data.points(journals.epoch(number), last_epoch=NUM_EPOCHS):
            store.client.log_metric(run_id, point.key, point.value, point.timestamp_ms, point.step)
    store.client.set_terminated(run_id)
