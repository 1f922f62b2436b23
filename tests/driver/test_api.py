"""The Python API: functions that take plain values, return values, and print nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import mlflow
import psutil
import pytest
from support import journals
from support.paths import PLUGINS

import benchbench as bb
from benchbench.cli.grid import to_json
from benchbench.driver.grid_state import GridState
from benchbench.records.events import EpochFinished
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.protocol.jobs import TrialJob

GRID = f"""
name = "dots"
question = "Which learning rate finds the dot?"
model = "line"
dataset = "dots"
epochs = 2
batch_size = 20
plugins = ["{PLUGINS / "dots.py"}"]
seeds = [0, 1]
optimizer = {{ name = "sgd", lr = {{ grid = [0.1, 0.01] }} }}
"""
LINE: dict[str, Any] = {"batch_size": 20, "epochs": 2, "artifacts": "none"}
DOTS: dict[str, Any] = LINE | {"plugins": [PLUGINS / "dots.py"]}


class Notebook(bb.Watcher):
    """Keeps what it is told, and asks for a stop after an epoch if that is wanted."""

    def __init__(self, *, stop_after: int = 0) -> None:
        self.notes: list[str] = []
        self.events: list[str] = []
        self._stop_after = stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def event(self, job: TrialJob, event: bb.Event, record: bb.Record) -> None:
        self.events.append(event.event)
        assert record.spec == job.spec
        if isinstance(event, EpochFinished) and event.epoch.epoch == self._stop_after:
            os.kill(os.getpid(), signal.SIGINT)


pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(autouse=True)
def _prepared(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")


def test_a_run_is_a_record_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    watcher = Notebook()
    record = bb.run("line", "dots", optimizer="adam", set={"optimizer.lr": 0.01}, watcher=watcher, **DOTS)
    assert capfd.readouterr() == ("", "")
    assert record.status == "finished"
    assert record.spec.optimizer.params["lr"] == 0.01
    assert record.mlflow is not None
    assert watcher.events == ["started", "epoch_finished", "epoch_finished", "finished"]
    assert [loaded.spec_id for loaded in bb.load_records()] == [record.spec_id]


@pytest.mark.slow
def test_a_run_works_where_an_event_loop_runs_as_in_a_notebook() -> None:
    async def cell() -> bb.Record:
        return bb.run("line", "dots", **DOTS)

    assert asyncio.run(cell()).status == "finished"


@pytest.mark.slow
def test_a_grid_that_is_interrupted_has_its_result_so_far(workdir: Path) -> None:
    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    with pytest.raises(bb.Interrupted) as stopped:
        bb.grid("grid.toml", artifacts="none", set={"model.pause": 0.1}, watcher=Notebook(stop_after=1))
    result = stopped.value.result
    assert result is not None
    assert result.is_interrupted
    assert result.counts["killed"] == 1
    assert bb.grid("grid.toml", artifacts="none", set={"model.pause": 0.1}).counts == {"finished": 4}


@pytest.mark.slow
def test_a_grid_is_a_result_that_can_be_compared_and_reported(workdir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    plan = bb.grid("grid.toml", dry_run=True)
    assert plan.counts == {"not started": 4}

    result = bb.grid("grid.toml", jobs=2)
    assert (result.status, result.is_interrupted, dict(result.counts)) == ("finished", False, {"finished": 4})
    assert result.run is not None
    assert result.has_report
    assert len(result.records) == 4
    assert {result.trial_name(trial) for trial in result.trials} == {
        f"optimizer.lr={rate} seed={seed}" for rate in (0.1, 0.01) for seed in (0, 1)
    }
    again = bb.grid("grid.toml")
    assert [trial.planned.action for trial in again.trials] == ["skip"] * 4
    assert not any(trial.is_new for trial in again.trials)
    assert (again.records, again.run, again.has_report) == (result.records, result.run, True)
    printed = to_json(again, dry_run=False)
    assert [(trial["status"], trial["is_new"]) for trial in printed["trials"]] == [("finished", False)] * 4
    assert (printed["run_id"], printed["has_report"]) == (result.run.run_id, True)

    comparison = bb.compare(grid="grid.toml", metrics=["test_accuracy"])
    assert [row.name for row in comparison.rows] == ["optimizer.lr=0.1", "optimizer.lr=0.01"]
    (workdir / "turned.toml").write_text(GRID.replace("[0.1, 0.01]", "[0.01, 0.1]"), encoding="utf-8")
    turned = bb.compare(grid="turned.toml", metrics=["test_accuracy"])
    assert [row.name for row in turned.rows] == ["optimizer.lr=0.01", "optimizer.lr=0.1"], "the order of the file"
    assert turned.baseline.name == "optimizer.lr=0.01"
    path = bb.report(grid="grid.toml", output="answer.html")
    assert "Which learning rate finds the dot?" in path.read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", ""), "none of these prints"


@pytest.mark.slow
def test_a_dry_run_only_tells_which_interrupted_trials_the_call_would_leave_behind(workdir: Path) -> None:
    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    GridState(workdir / "grid.toml").begin([journals.SPEC])
    journal = Journal.of(journals.SPEC.id, "20260101-000000-abcdef01")
    journal.append(journals.started(journal.attempt))
    watcher = Notebook()
    assert bb.grid("grid.toml", dry_run=True, watcher=watcher).counts == {"not started": 4}
    assert any("1 interrupted trial is not among them" in note for note in watcher.notes)
    with pytest.raises(bb.SpecError, match="1 interrupted trial is not among them"):
        bb.grid("grid.toml", set={"model.pause": 0.1})


def test_names_of_functions_stay_functions_whatever_is_imported() -> None:

    from benchbench.compare import compare_records
    from benchbench.report.page import write_report

    assert callable(bb.compare)
    assert callable(bb.report)
    assert callable(compare_records)
    assert callable(write_report)


@pytest.mark.parametrize(
    ("function", "name", "message"),
    [
        (bb.grid, "artefacts", "no option 'artefacts'; did you mean 'artifacts'"),
        (bb.run, "epoch", "no option 'epoch'; did you mean 'epochs'"),
        (bb.run, "lr", r"no option 'lr'; did you mean set=\{\"optimizer.lr\": ...\}"),
        (bb.grid, "xyz", "no option 'xyz'; options: .*precision, .*set, .*device, data"),
    ],
)
def test_an_unknown_argument_is_answered_with_one_that_there_is(function: Any, name: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        function("nothing.toml", **{name: 1})


@pytest.mark.slow
def test_what_is_wrong_is_raised_before_anything_is_made(workdir: Path) -> None:
    before = set(workdir.iterdir())
    with pytest.raises(bb.BenchError, match="no model named 'lin'"):
        bb.run("lin", "dots", **DOTS)
    with pytest.raises(bb.BenchError, match="choose from none, light, full"):
        bb.run("line", "dots", **DOTS | {"artifacts": "all"})
    with pytest.raises(bb.BenchError, match="batch size 5000"):
        bb.run("line", "dots", **DOTS | {"batch_size": 5000})
    assert {path for path in workdir.iterdir() if not path.name.startswith("mlflow.db-")} == before
    assert bb.load_records() == []


@pytest.mark.slow
def test_trials_run_in_any_thread_and_one_that_fails_is_a_record_too() -> None:
    records: list[bb.Record] = []
    thread = threading.Thread(target=lambda: records.append(bb.run("line", "dots", set={"model.fails": True}, **DOTS)))
    thread.start()
    thread.join()
    (record,) = records
    assert record.status == "failed"
    assert record.error is not None
    assert "this one fails" in record.error.message


@pytest.mark.slow
def test_a_script_needs_no_guard_and_prints_only_what_it_prints(workdir: Path) -> None:
    (workdir / "script.py").write_text(
        "import benchbench as bb\n"
        f"record = bb.run('line', 'dots', plugins=[{str(PLUGINS / 'dots.py')!r}], batch_size=20, epochs=1)\n"
        "print(record.status)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "finished\n", "")


@pytest.mark.slow
@pytest.mark.usefixtures("new_workers")
def test_ctrl_c_stops_cleanly_and_the_same_call_goes_on() -> None:
    slow = DOTS | {"epochs": 6, "checkpoint_every": 0, "set": {"model.pause": 0.1}}
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(bb.Interrupted) as stopped:
        bb.run("line", "dots", watcher=Notebook(stop_after=2), **slow)
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert stopped.value.result.status == "killed"
    assert signal.getsignal(signal.SIGINT) is before
    assert not [child for child in psutil.Process().children() if "benchbench.worker" in " ".join(child.cmdline())]

    watcher = Notebook()
    record = bb.run("line", "dots", watcher=watcher, **slow)
    assert watcher.events[0] == "resumed"
    assert record.status == "finished"
    assert record.attempt == stopped.value.result.attempt
    assert [record.attempt for record in bb.load_records()] == [record.attempt]


def test_ctrl_c_before_the_first_trial_is_told_as_during_it(workdir: Path) -> None:
    class Stopping(bb.Watcher):
        def status(self, text: str) -> None:
            raise KeyboardInterrupt

    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    for call in (
        lambda: bb.run("line", "dots", watcher=Stopping(), **DOTS),
        lambda: bb.grid("grid.toml", watcher=Stopping()),
    ):
        with pytest.raises(bb.Interrupted) as stopped:
            call()
        assert stopped.value.result is None


@pytest.mark.slow
def test_ctrl_c_while_results_are_written_loses_none(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow.MlflowClient, "log_text", stop)
    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    with pytest.raises(bb.Interrupted) as stopped:
        bb.grid("grid.toml", artifacts="none")
    assert [record.status for record in stopped.value.result.records] == ["finished"] * 4
    assert stopped.value.result.is_interrupted
    asked: dict[str, Any] = {"plugins": PLUGINS / "dots.py", "batch_size": 20, "rounds": 3, "steps": 2}
    with pytest.raises(bb.Interrupted) as stopped:
        bb.time("line", "dots", optimizer=["sgd", "adam"], **asked)
    assert [row.name for row in stopped.value.result.table.rows] == ["sgd", "adam"]
    assert stopped.value.result.run is None


@pytest.mark.slow
def test_a_plugin_that_changed_since_an_interruption_is_no_silent_mixture(workdir: Path) -> None:
    plugin = workdir / "dots.py"
    shutil.copy(PLUGINS / "dots.py", plugin)
    slow = LINE | {"epochs": 6, "checkpoint_every": 0, "set": {"model.pause": 0.1}, "plugins": ["dots.py"]}
    with pytest.raises(bb.Interrupted):
        bb.run("line", "dots", watcher=Notebook(stop_after=2), **slow)
    plugin.write_text(plugin.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")

    with pytest.raises(bb.SpecError, match="model plugin changed since epoch") as refused:
        bb.run("line", "dots", **slow)
    assert "--fresh" in refused.value.hint
    assert "--resume-anyway" in refused.value.hint
    record = bb.run("line", "dots", resume_anyway=True, **slow)
    assert any("model plugin changed since epoch" in note for note in record.notes)
    assert len(bb.load_records()) == 1


@pytest.mark.slow
def test_a_timing_can_compare_acceleration_with_plain_torch(capfd: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {"plugins": [PLUGINS / "dots.py"], "batch_size": 20, "rounds": 3, "steps": 2}
    result = bb.time("line", "dots", accelerate=["off", "auto"], **asked)
    assert result.timing.job.accelerate == ("off", "auto")
    told = [warmed.started.acceleration["accelerate"] for warmed in result.timing.warmed]
    assert told == ["off", "auto"]
    assert bb.run("line", "dots", accelerate="off", **DOTS).acceleration["accelerate"] == "off"
    assert result.table.baseline == "accelerate=off"
    assert [row.name for row in result.table.rows] == ["accelerate=off", "accelerate=auto"]
    assert result.run is not None
    assert result.to_json()["n"] == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_run_of_a_grid_that_was_stopped_outside_its_trials_is_ended_by_the_next_command(workdir: Path) -> None:
    class Stopping(bb.Watcher):
        def event(self, job: TrialJob, event: bb.Event, record: bb.Record) -> None:
            del job, event
            ends.append(GridEnd.all())
            if record.status == "finished":
                raise KeyboardInterrupt

    ends: list[list[GridEnd]] = []
    (workdir / "grid.toml").write_text(GRID, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        bb.grid("grid.toml", artifacts="none", watcher=Stopping())
    assert not any(ends), "while the grid runs, no other command may end its run"
    assert [end.status for end in GridEnd.all()] == ["killed"]


IMPOSTOR = """
import torch
import benchbench as bb

class AlexNet(bb.Model, name="alexnet"):
    def build(self, data):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(data.num_inputs, data.num_classes))

@bb.hookimpl
def benchbench_models():
    return [AlexNet]
"""


@pytest.mark.slow
def test_a_trial_of_a_plugin_whose_name_another_has_is_repeated_from_its_spec(workdir: Path) -> None:
    (workdir / "mine.py").write_text(IMPOSTOR, encoding="utf-8")
    first = bb.run("mine.py:alexnet", "digits", plugins=["mine.py"], epochs=1, batch_size=256, artifacts="light")
    (spec,) = workdir.glob("mlruns/*/*/artifacts/spec.toml")
    assert 'name = "mine.py:alexnet"' in spec.read_text(encoding="utf-8")
    assert bb.run(spec=spec, artifacts="none").spec_id == first.spec_id
