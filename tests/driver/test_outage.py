"""Grids whose tracking server goes away, and trials whose disk is full."""

from __future__ import annotations

import re
import shutil
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import torch
from support.commands import Bench, workers
from support.paths import PLUGINS
from support.tracking_server import free_port, server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from support.forks import ForkedCall

    from benchbench.records.journal import Journal

pytestmark = pytest.mark.slow
WAIT_SECONDS = 120
EPOCHS = 4
GRID = f"""
name = "dots"
model = {{ name = "line", pause = 0.2 }}
dataset = "dots"
epochs = {EPOCHS}
batch_size = 20
seeds = [0, 1, 2]
plugins = ["{PLUGINS / "dots.py"}"]
"""
COMMAND = ("grid", "grid.toml")
RUN = ("run", "line", "dots", "--plugins", PLUGINS / "dots.py", "--batch-size", 20, "--epochs", 20)
RUN += ("--set", "model.pause=0.05", "--checkpoint-every", 0, "--keep-checkpoints", "--artifacts", "none")


@pytest.fixture
def bench(tmp_path: Path, cache: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "grid.toml").write_text(GRID, encoding="utf-8")
    return Bench(tmp_path, cache)


@pytest.fixture
def served(bench: Bench) -> Bench:
    """Return a folder whose results go to a server, which each test starts and stops as it likes."""
    variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    return Bench(bench.folder, bench.cache, variables)


def port_of(served: Bench) -> int:
    return int(served.variables["MLFLOW_TRACKING_URI"].rpartition(":")[2])


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str] | ForkedCall) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.02)


def num_ended(bench: Bench) -> int:
    return sum(journal.record().status != "running" for journal in bench.journals())


def assert_all_arrived_once(served: Bench, *, num_trials: int) -> None:
    runs = served.runs()
    assert len(runs) == num_trials
    for run in runs:
        assert run.info.status == "FINISHED"
        points = served.points(run)
        assert [step for key, step, _ in points if key == "train_loss"] == list(range(1, EPOCHS + 1))
        assert [step for key, step, _ in points if key == "test_accuracy"] == [EPOCHS]
        assert len(points) == len(set(points))
        assert served.client.list_artifacts(run.info.run_id)


def test_a_grid_trains_on_while_its_server_is_away_and_all_arrives_once(served: Bench) -> None:
    with server(served.folder, port_of(served)):
        process = served.start(*COMMAND)
        wait_until(lambda: any(journal.mlflow_run() for journal in served.journals()), process)
    wait_until(lambda: num_ended(served) >= 2, process)
    with server(served.folder, port_of(served)):
        output, errors = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0, output + errors
        assert "the tracking store is back" in output
        assert "Traceback" not in output + errors
        assert_all_arrived_once(served, num_trials=3)
        assert [run.info.status for run in served.parents()] == ["FINISHED"]


def test_what_a_server_that_stays_away_did_not_get_is_sent_by_the_next_command(served: Bench) -> None:
    with server(served.folder, port_of(served)):
        process = served.start_anew(*COMMAND)
        wait_until(lambda: any(journal.mlflow_run() for journal in served.journals()), process)
    wait_until(lambda: num_ended(served) == 3, process)
    assert process.stdout is not None
    assert any("Ctrl-C leaves it to the next call" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, output + errors
    assert re.search(r"3 trials not delivered to MLflow yet \(.+\); the next bench run, bench grid or", output)
    with server(served.folder, port_of(served)):
        listed = served("runs", "list")
        assert listed.returncode == 0, listed.stderr
        assert "in MLflow" not in listed.stdout, "all are"
        assert_all_arrived_once(served, num_trials=3)
        assert "3 trials: 3 done" in served(*COMMAND, "--artifacts", "none").stdout
        assert len(served.runs()) == 3
        assert [run.info.status for run in served.parents()] == ["FINISHED"]


def limit_files(process: psutil.Process, num_bytes: int) -> None:
    """Make every write beyond that size fail, as on a full disk."""
    process.rlimit(psutil.RLIMIT_FSIZE, (num_bytes, psutil.RLIM_INFINITY))


def only_journal(bench: Bench) -> Journal:
    (journal,) = bench.journals()
    return journal


def start_and_checkpoint(bench: Bench) -> subprocess.Popen[str]:
    process = bench.start_anew(*RUN)
    wait_until(lambda: list(bench.folder.glob(".bench/trials/*/*/checkpoint.pt")), process)
    return process


def test_a_checkpoint_that_finds_the_disk_full_leaves_the_last_good_one_to_go_on_from(bench: Bench) -> None:
    process = start_and_checkpoint(bench)
    (worker,) = workers(process)
    limit_files(worker, 1000)
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1
    assert re.search(r"the checkpoint .+checkpoint.pt cannot be written: .*File too large", output + errors)
    assert "free some disk space and run the same command again" in output + errors
    assert "Traceback" not in output + errors
    journal = only_journal(bench)
    assert not list(journal.folder.rglob("*.partial"))
    num_epochs = len(torch.load(journal.folder / "checkpoint.pt", weights_only=True)["epochs"])
    assert num_epochs == len(journal.record().epochs) - 1
    assert [run.info.status for run in bench.runs()] == ["FAILED"]

    again = bench(*RUN)
    assert again.returncode == 0, again.stderr
    assert f"interrupted after epoch {num_epochs + 1}: resuming it" in again.stdout
    (run,) = bench.runs()
    assert run.info.status == "FINISHED"
    assert [step for key, step, _ in bench.points(run) if key == "train_loss"] == list(range(1, 21))


def test_a_journal_that_finds_the_disk_full_is_told_in_one_line_and_goes_on_later(bench: Bench) -> None:
    process = start_and_checkpoint(bench)
    limit_files(psutil.Process(process.pid), 1000)
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 1, output + errors
    assert re.search(r"error: the journal .+events.jsonl cannot be written: File too large", errors)
    assert "Traceback" not in output + errors

    again = bench(*RUN)
    assert again.returncode == 0, again.stderr
    (run,) = bench.runs()
    assert run.info.status == "FINISHED"
    assert [step for key, step, _ in bench.points(run) if key == "train_loss"] == list(range(1, 21))
