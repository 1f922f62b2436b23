"""``bench grid`` as a user types it: what is run, what is not, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from support.commands import Bench, trials
from support.paths import PLUGINS, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import Run
    from support.forks import ForkedCall

WAIT_SECONDS = 120
HEAD = """
name = "dots"
question = "Which learning rate finds the dot?"
model = "line"
dataset = "dots"
epochs = 2
batch_size = 20
"""
SGD = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.01] } }\n'
PLUGIN = ("--plugins", PLUGINS / "dots.py")


@pytest.fixture
def bench(tmp_path: Path, cache: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Bench(tmp_path, cache)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, cache: Path, empty_database: Path) -> Bench:
    """Return a folder in which nothing but refusals happens."""
    folder = tmp_path_factory.mktemp("used")
    shutil.copy(empty_database, folder / "mlflow.db")
    return Bench(folder, cache)


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str] | ForkedCall) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()}")
        time.sleep(0.02)


def statuses(bench: Bench) -> list[str]:
    return [run.info.status for run in bench.runs()]


def parent_of(bench: Bench) -> tuple[str, str]:
    (parent,) = bench.parents()
    return parent.info.run_id, parent.info.status


def file_of(bench: Bench, run: Run, name: str) -> str:
    assert name in bench.artifacts(run)
    return Path(str(run.info.artifact_uri).removeprefix("file://"), name).read_text(encoding="utf-8")


def assert_table_of(bench: Bench, parent: Run, run_ids: set[str]) -> None:
    """MLflow's pages show as a table what the tag names; the file has the form that ``log_table`` writes."""
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [{"path": "trials.json", "type": "table"}]
    table = pd.read_json(StringIO(file_of(bench, parent, "trials.json")), orient="split")
    assert set(table["run_id"]) == run_ids
    assert table["final_val_accuracy"].dropna().is_monotonic_decreasing


def assert_described(bench: Bench, parent: Run, text: str) -> None:
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("**Which learning rate finds the dot?**\n\noptimizer.lr=0.01 and optimizer.lr=0.1, test_acc")
    assert "\n4 trials: 4 finished\n" in note
    assert "| `optimizer.lr=0.1`" in note
    assert "Against `optimizer.lr=0.1`:\n\n- `optimizer.lr=0.01`, test_accuracy: " in note
    assert file_of(bench, parent, "grid.toml") == text
    assert_table_of(bench, parent, {run.info.run_id for run in bench.runs()})


def assert_predicts(place: str) -> None:
    """A child's model is loaded as MLflow serves it."""
    model = mlflow.pyfunc.load_model(place)
    assert set(model.predict(np.zeros((3, 1, 8, 8), dtype=np.uint8))["prediction"]) <= {"left", "right"}


def assert_children_compare(bench: Bench) -> None:
    """Children have the same few metrics, at the same steps, and params of the same names."""
    runs = bench.runs()
    assert len({frozenset(run.data.params) for run in runs}) == 1
    assert len({frozenset(run.data.metrics) for run in runs}) == 1
    assert len(runs[0].data.metrics) < 50
    steps = [{(key, step) for key, step, _ in bench.points(run)} for run in runs]
    assert all(found == steps[0] for found in steps)


def paper_figures(bench: Bench) -> set[str]:
    """Draw the figures of the paper and return their names."""
    script = REPOSITORY / "experiments" / "paper" / "figures.py"
    done = subprocess.run(
        [sys.executable, script, "bench", "-o", "figures"],
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path.name for path in (bench.folder / "figures").iterdir()}


@pytest.mark.slow
def test_a_grid_runs_what_is_left_and_is_one_parent_run_that_grows(bench: Bench) -> None:
    grid = bench.write("grid.toml", HEAD + SGD + "seeds = [0, 1]\n")
    command = ("grid", "grid.toml", *PLUGIN)

    dry = bench(*command, "--dry-run", "-v")
    assert dry.returncode == 0, dry.stderr
    assert "4 trials: 0 done, 0 to resume, 4 to run" in dry.stdout
    assert len(re.findall(r"run +optimizer.lr=.* seed=.*\(new\)", dry.stdout)) == 4
    assert bench.all_runs() == []
    assert bench.journals() == []

    done = bench(*command, "--json")
    assert done.returncode == 0, done.stderr
    records = trials(done)
    assert [record["status"] for record in records] == ["finished"] * 4
    (parent,) = bench.parents()
    assert (parent.info.run_name, parent.info.status) == ("dots", "FINISHED")
    assert_described(bench, parent, grid.read_text())
    for run in bench.runs():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert set(run.data.params) >= {"model", "dataset", "optimizer", "optimizer.lr", "seed", "epochs", "model.trap"}
    best = max(bench.runs(), key=lambda run: run.data.metrics["final_val_accuracy"])
    with_figures = [run for run in bench.runs() if "figures/curves.png" in bench.artifacts(run)]
    assert [run.data.metrics["final_val_accuracy"] for run in with_figures] == [best.data.metrics["final_val_accuracy"]]
    assert all(bench.artifacts(run) >= {"record.json", "spec.toml", "predictions.csv"} for run in bench.runs())
    (model,) = bench.client.search_logged_models([parent.info.experiment_id])
    assert_predicts(model.artifact_location)
    assert_children_compare(bench)
    assert bench.artifacts(parent) == {"grid.toml", "report.html", "trials.json"}
    assert {"figure-1-architecture.png", "figure-2-samples.svg", "figure-5-accuracy.png"} <= paper_figures(bench)

    again = bench(*command)
    assert again.returncode == 0, again.stderr
    assert "4 trials: 4 done, 0 to resume, 0 to run" in again.stdout
    assert len(bench.runs()) == 4

    grid.write_text(grid.read_text().replace("0.01]", "0.01, 0.001]"))
    before = {run.info.run_id for run in bench.runs()}
    grown = bench(*command, "--json", "--artifacts", "none")
    assert grown.returncode == 0, grown.stderr
    assert [trial["is_new"] for trial in trials(grown)].count(True) == 2
    assert len(trials(grown)) == 6
    new = [run for run in bench.runs() if run.info.run_id not in before]
    assert [run.data.params["optimizer.lr"] for run in new] == ["0.001", "0.001"]
    assert parent_of(bench) == (parent.info.run_id, "FINISHED")
    (parent,) = bench.parents()
    assert "6 trials: 6 finished" in parent.data.tags["mlflow.note.content"]
    assert_table_of(bench, parent, {run.info.run_id for run in bench.runs()})

    bench.client.delete_run(new[0].info.run_id)
    assert [trial["action"] for trial in trials(bench(*command, "--dry-run", "--json"))].count("run") == 1
    bench(*command, "--set", "optimizer.lr=0.001", "--set", "optimizer.momentum=0.5", "--artifacts", "none")
    repeated = bench(*command, "--again", "--artifacts", "none")
    assert repeated.returncode == 0, repeated.stderr
    assert len(bench.runs()) == 5 + 2 + 6


@pytest.mark.slow
def test_a_changed_plugin_makes_trials_stale_and_a_raised_revision_runs_them_again(bench: Bench) -> None:
    bench.write("grid.toml", HEAD + SGD)
    plugin = bench.write("mine.py", (PLUGINS / "dots.py").read_text())
    command = ("grid", "grid.toml", "--plugins", "mine.py", "--artifacts", "none")
    assert bench(*command).returncode == 0

    plugin.write_text(plugin.read_text() + "# a comment\n")
    done = bench(*command, "-v")
    assert "2 done, 2 of them stale (--rerun-stale), 0 to resume, 0 to run" in done.stdout
    assert (
        len(re.findall(r"^  stale  .*\(finished, stale: dataset plugin changed, model", done.stdout, re.MULTILINE)) == 2
    )
    assert len(bench.runs()) == 2

    assert bench(*command, "--rerun-stale").returncode == 0
    assert len(bench.runs()) == 4
    again = bench(*command, "--dry-run").stdout
    assert "2 done, 0 to resume" in again
    assert len(re.findall(r"^  done +optimizer.lr=", again, re.MULTILINE)) == 2

    plugin.write_text(plugin.read_text().replace('name="line"', 'name="line", revision=2'))
    revised = bench(*command)
    assert "0 done, 0 to resume, 2 to run" in revised.stdout, revised.stderr
    assert len(bench.runs()) == 6


@pytest.mark.slow
def test_other_images_are_never_taken_for_the_same(bench: Bench) -> None:
    bench.write("grid.toml", HEAD + SGD)
    bright = bench.write("images", "250")
    command = ("grid", "grid.toml", *PLUGIN, "--artifacts", "none", "--data", "dots=images")
    assert bench(*command).returncode == 0
    bright.write_text("150")
    other = bench(*command)
    assert "0 done, 0 to resume, 2 to run" in other.stdout, other.stderr
    assert len({run.data.tags["benchbench.data_digest"] for run in bench.runs()}) == 2
    bright.write_text("250")
    assert "2 done" in bench(*command, "--dry-run").stdout


@pytest.mark.slow
def test_an_interrupted_grid_goes_on_into_the_same_runs(bench: Bench) -> None:
    bench.write("grid.toml", HEAD.replace("epochs = 2", "epochs = 6") + SGD + "seeds = [0, 1]\n")
    alone = ("grid", "grid.toml", *PLUGIN, "--checkpoint-every", 0, "--set", "model.pause=0.3")
    command = (*alone, "--jobs", 2)
    process = bench.start(*command)
    wait_until(lambda: len(list(bench.folder.glob(".bench/trials/*/*/checkpoint.pt"))) == 2, process)

    second = bench(*command)
    assert second.returncode == 2
    assert "grid.toml is being run by another process" in second.stderr

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, output + errors
    assert "stopping after this batch" in output
    assert statuses(bench) == ["KILLED", "KILLED"]
    assert parent_of(bench)[1] == "KILLED"
    (parent,) = bench.parents()
    assert "4 trials: 2 killed, 2 not started\n" in parent.data.tags["mlflow.note.content"]
    why = "Nothing is compared: the grid ended before all of its trials had run"
    assert why in parent.data.tags["mlflow.note.content"]
    assert_table_of(bench, parent, {run.info.run_id for run in bench.runs()})
    interrupted = {run.info.run_id for run in bench.runs()}

    other = bench(*alone, "--set", "model.pause=0.2")
    assert other.returncode == 2
    assert "2 interrupted trials are not among them, such as" in other.stderr
    assert "model.pause=0.3" in other.stderr
    assert "--yes to leave them behind" in other.stderr
    assert bench(*alone, "--set", "model.pause=0.2", "--yes", "--dry-run").returncode == 0

    checkpoint = next(iter(bench.folder.glob(".bench/trials/*/*/checkpoint.pt")))
    os.truncate(checkpoint, 1000)
    dry = bench(*alone, "--dry-run", "-v")
    assert "0 done, 2 to resume, 2 to run" in dry.stdout
    assert re.search(r"resume .*\(interrupted after epoch \d\)", dry.stdout)
    done = bench(*command, "--artifacts", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is damaged") == done.stdout.count("the trial starts over") == 1
    assert statuses(bench) == ["FINISHED"] * 4
    assert {run.info.run_id for run in bench.runs()} > interrupted
    for run in bench.runs():
        steps = [step for key, step, _ in bench.points(run) if key == "val_accuracy"]
        assert steps == [1, 2, 3, 4, 5, 6]
    assert parent_of(bench)[1] == "FINISHED"


@pytest.mark.slow
def test_a_worker_that_the_system_kills_is_reported_and_its_trial_tried_once_more(bench: Bench) -> None:
    bench.write(
        "grid.toml", HEAD + SGD + f"model = {{ name = 'line', trap = '{bench.folder}/trap' }}\nseeds = [0, 1]\n"
    )
    (bench.folder / "grid.toml").write_text((bench.folder / "grid.toml").read_text().replace('model = "line"\n', ""))
    bench.write("trap", "")
    done = bench("grid", "grid.toml", *PLUGIN, "--artifacts", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("killed by the system") == 1
    assert "the trial is tried once more" in done.stdout
    assert statuses(bench) == ["FINISHED"] * 4
    (parent,) = bench.parents()
    assert bench.artifacts(parent) == {"grid.toml", "trials.json"}, "no report for --artifacts none"


@pytest.mark.slow
def test_a_trial_that_waits_to_be_tried_once_more_ends_with_its_grid(bench: Bench) -> None:
    bench.write(
        "grid.toml",
        'model = { name = "unruly", at = 20, vice = { grid = ["dies", "raises"] } }\n'
        'dataset = "digits"\nepochs = 2\nbatch_size = 100\n',
    )
    options = ("--plugins", PLUGINS / "unruly.py", "--jobs", 1, "--artifacts", "none", "--fail-fast")
    done = bench("grid", "grid.toml", *options)
    assert done.returncode == 1, done.stderr
    assert "the trial is tried once more" in done.stdout
    assert statuses(bench) == ["FAILED", "FAILED"]
    assert "killed by the system, and the call ended before the trial was retried" in done.stderr


@pytest.mark.slow
def test_failures_stop_a_grid_only_where_that_is_asked_for(bench: Bench) -> None:
    model = 'model = { name = "line", fails = { grid = [true, false] } }\n'
    bench.write("grid.toml", HEAD.replace('model = "line"\n', model) + "seeds = [0, 1]\n")
    command = ("grid", "grid.toml", *PLUGIN, "--artifacts", "none")

    fast = bench(*command, "--fail-fast")
    assert fast.returncode == 1
    assert "failed: model.fails=true seed=0: ValueError: this one fails" in fast.stderr
    assert "Traceback" not in fast.stderr
    assert statuses(bench) == ["FAILED"]

    patient = bench(*command, "--max-failures", 2)
    assert patient.returncode == 1
    assert sorted(statuses(bench)) == ["FAILED"] * 3 + ["FINISHED"]

    stubborn = bench(*command, "--fail-fast", "--keep-going")  # the last one counts
    assert stubborn.returncode == 1
    assert sorted(statuses(bench)) == ["FAILED"] * 5 + ["FINISHED"] * 2
    assert parent_of(bench)[1] == "FAILED"


REFUSALS = {
    "broken TOML": ("name = 'dots'\nmodel = = 1\n", (), "grid.toml", "line 2, column 9"),
    "unknown key": (HEAD + "epoch = 3\n", (), "unknown key 'epoch'", "did you mean 'epochs'?"),
    "empty axis": (HEAD + 'optimizer = { name = "sgd", lr = { grid = [] } }\n', (), "optimizer.lr", ""),
    "same trial twice": (HEAD + "seeds = [0, 1, 0]\n", (), "trials 1 and 3 of 3 are the same", "seed=0"),
    "no such plugin": (HEAD + 'optimizer = "sdg"\n', (), "no optimizer named 'sdg'", "did you mean 'sgd'?"),
    "too many trials": (HEAD + f"seeds = {list(range(10_001))}\n", (), "10,001 trials, more than 10,000", "--yes"),
    "no such file": ("", ("nowhere.toml",), "nowhere.toml", ""),
    "address of no Ray": (HEAD, ("grid.toml", "--address", "localhost:1"), "--address needs", "--executor ray"),
    "two limits": (HEAD, ("grid.toml", "--fail-fast", "--max-failures", "5"), "are both given", "--max-failures 1"),
}


@pytest.mark.parametrize(("text", "arguments", "message", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_bad_grid_is_refused_with_one_message_before_anything_runs(
    used: Bench, text: str, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    used.write("grid.toml", text)
    done = used("grid", *(arguments or ("grid.toml",)), *PLUGIN)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert hint in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert used.all_runs() == []
    assert used.journals() == []
