"""``bench grid`` with a design that adds seeds: what it trains, and how it goes on after an interruption."""

from __future__ import annotations

import json
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import Bench
from support.paths import PLUGINS

if TYPE_CHECKING:
    from pathlib import Path

TINY = ("--plugins", PLUGINS / "tiny.py")
WAIT_SECONDS = 200
GRID = """
name = "digits"
model = "tiny"
dataset = "digits"
batch_size = 64
epochs = 2
optimizer = { name = "adam", lr = { grid = [0.001, 0.00001, 0.00101] } }

[compare]
decide = { looks = [4, 5] }
"""


@pytest.fixture
def bench(tmp_path: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Bench(tmp_path, tmp_path / "cache")


def interrupt_once_a_trial_has_ended(bench: Bench, *command: object) -> int:
    """Start a command, send it SIGINT after its first trial, and return its exit code."""
    process = bench.start(*command)
    deadline = time.monotonic() + WAIT_SECONDS
    while not any((record := journal.try_record()) and record.status == "finished" for journal in bench.journals()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_SECONDS)
    return process.returncode


def outcomes(answer: dict[str, Any]) -> dict[str, tuple[str, int]]:
    rows = answer["decide"]["comparisons"]
    return {row["configuration"]: (row["outcome"], row["seeds"]) for row in rows}


@pytest.mark.slow
def test_a_grid_adds_seeds_where_it_must_and_goes_on_after_an_interruption(bench: Bench) -> None:
    bench.write("grid.toml", GRID)
    command = ("grid", "grid.toml", *TINY, "--artifacts", "none")

    told = bench(*command, "--dry-run", "--json")
    assert "next: " not in told.stderr
    dry = json.loads(told.stdout)
    assert len(dry["trials"]) == 15
    assert dry["decide"]["looks"] == [4, 5]
    assert sum(dry["decide"]["levels"]) == pytest.approx(0.05)

    assert interrupt_once_a_trial_has_ended(bench, *command) == 130
    done = bench(*command, "--json")
    assert done.returncode == 0, done.stderr
    decided = outcomes(json.loads(done.stdout))
    # The slow one is told apart at once; the other is as good as the baseline.
    assert decided["optimizer.lr=1e-05"] == ("decided", 4)
    assert decided["optimizer.lr=0.00101"][0] in ("open", "given up")
    finished = [run for run in bench.runs() if run.info.status == "FINISHED"]
    assert len({run.data.tags["benchbench.spec_id"] for run in finished}) == len(finished)
    num_seeds = {lr: sum(run.data.params["optimizer.lr"] == lr for run in finished) for lr in ("0.001", "1e-05")}
    assert num_seeds["1e-05"] == 4
    assert num_seeds["0.001"] == decided["optimizer.lr=0.00101"][1]

    again = bench(*command)
    assert again.returncode == 0, again.stderr
    assert "comparisons decided with" in again.stdout
    assert len(bench.runs()) == len(finished)
    compared = bench("compare", "--grid", "grid.toml")
    assert "worse at 4 seeds" in " ".join(compared.stdout.split())


@pytest.mark.slow
def test_a_grid_of_one_configuration_has_nothing_to_decide(bench: Bench) -> None:
    bench.write("grid.toml", 'model = "tiny"\ndataset = "digits"\nseeds = [0, 1]\n')
    refused = bench("grid", "grid.toml", "--decide", *TINY)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: grid.toml: decide needs a grid of two configurations or more\n")
