"""Folders that are moved, copied, oddly named or read-only, with all that trials left in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.commands import Bench
from support.paths import PLUGINS
from typer.testing import CliRunner

from benchbench.cli.main import make_app
from benchbench.records.claim import Claim
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.tracking import Store, is_delivered
from benchbench.tracking.client import mlflow_client
from benchbench.tracking.moved_folder import find_move
from benchbench.tracking.stored_records import load_records

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPT = "20260101-000000-abcdef01"
READ = "from benchbench import load_records; print(len(load_records()))"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for working folders, each of which keeps its own state."""
    monkeypatch.delenv("BENCH_STATE")
    return tmp_path


def trained(folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return a trial that was delivered from a working folder."""
    folder.mkdir(parents=True)
    shutil.copy(database, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    store = Store.open()
    journal = Journal.of(journals.SPEC.id, ATTEMPT)
    for event in (journals.started(ATTEMPT), journals.epoch(1), journals.finished()):
        journal.append(event)
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id))
    journal.artifacts.mkdir()
    (journal.artifacts / "record.json").write_text(journal.record().to_json(), encoding="utf-8")
    store.deliver(journal)
    shutil.rmtree(journal.artifacts)
    return journal


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["x y", "x%20y", "50%25", "a#b", "a?b", "Bäume"])
def test_a_folder_of_any_name_keeps_everything_in_itself(
    name: str, base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = trained(base / name, empty_database, monkeypatch)
    assert [path.name for path in base.iterdir()] == [name]
    assert is_delivered(journal)
    (record,) = load_records()
    assert record.status == "finished"
    assert len(list((base / name / "mlruns").rglob("record.json"))) == 1


def test_a_sibling_whose_name_is_the_same_unquoted_is_another_folder(
    base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(base / "x y", empty_database, monkeypatch)
    (base / "x%20y").mkdir()
    shutil.copy(empty_database, base / "x%20y" / "mlflow.db")
    monkeypatch.chdir(base / "x%20y")
    Store.open()
    assert load_records() == []


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_folder_that_was_moved_or_copied_goes_on_with_its_own_files(
    *, is_copy: bool, base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = trained(base / "old", empty_database, monkeypatch)
    if is_copy:
        shutil.copytree(base / "old", base / "new")
    else:
        (base / "old").rename(base / "new")
    before = files_under(base / "old")
    monkeypatch.chdir(base / "new")
    os.utime(journal.folder / "events.jsonl")  # as cp does
    assert is_delivered(journal)
    (record,) = load_records()
    assert record.status == "finished"

    store = Store.open()
    assert store.note.startswith(f"this folder was moved or copied from {base / 'old'}")
    claim = journal.claim()
    assert claim is not None
    assert claim.tracking_uri == store.tracking_uri
    run = journal.mlflow_run()
    assert run is not None
    folder = store.client.get_run(run.run_id).info.artifact_uri
    assert folder.startswith(f"{base / 'new'}/mlruns/")
    assert Store.open().note == ""
    assert files_under(base / "old") == before
    assert (base / "old").exists() == is_copy


@pytest.mark.slow
def test_doctor_puts_the_addresses_of_a_moved_folder_right(
    base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(base / "old", empty_database, monkeypatch)
    (base / "old").rename(base / "new")
    monkeypatch.chdir(base / "new")
    first, second = (CliRunner().invoke(make_app(), ["doctor"]).output for _ in range(2))
    assert f"fixed      this folder was moved or copied from {base / 'old'}" in first
    assert "fixed" not in second
    (run,) = mlflow_client("sqlite:///mlflow.db").search_runs(["1"])
    assert run.info.artifact_uri.startswith(f"{base / 'new'}/mlruns/")


def test_a_database_that_was_never_moved_is_left_alone(tmp_path: Path) -> None:
    """As with MLFLOW_TRACKING_URI: the database lies elsewhere than the files."""
    (tmp_path / "project" / "mlruns" / "1").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    assert find_move(f"{tmp_path}/project/mlruns/1", tmp_path / "data" / "mlflow.db") is None
    assert find_move(f"{tmp_path}/project/mlruns/1", tmp_path / "project" / "mlflow.db") is None
    assert find_move("mlflow-artifacts:/1", tmp_path / "data" / "mlflow.db") is None
    assert find_move("s3://bucket/mlruns/1", tmp_path / "data" / "mlflow.db") is None


def test_a_folder_that_is_not_there_keeps_its_runs_and_gets_no_new_ones(
    base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = base / "home" / "mlflow.db"
    database.parent.mkdir()
    shutil.copy(empty_database, database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    client = mlflow_client(f"sqlite:///{database}")
    client.create_experiment("bench", artifact_location=str(base / "disk" / "mlruns" / "1"))
    trained(base / "disk", empty_database, monkeypatch)
    (base / "disk").rename(base / "unplugged")
    (base / "elsewhere").mkdir()
    monkeypatch.chdir(base / "elsewhere")
    store = Store.open()
    assert store.note == f"{base / 'disk'} is not there: the files of new runs go to {base / 'home' / 'mlruns'}"
    assert Store.open().note == ""
    (base / "unplugged").rename(base / "disk")
    (record,) = load_records()
    assert record.status == "finished"
    run = store.client.create_run(store.experiment_id)
    assert run.info.artifact_uri.startswith(f"{base / 'home' / 'mlruns'}/")


def test_a_run_whose_folder_is_gone_is_written_beside_the_database(
    base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a copy without the files of runs to another machine."""
    trained(base / "old", empty_database, monkeypatch)
    store = Store.open()
    parent = store.open_parent("rates", file=base / "old" / "rates.toml", headline="")
    shutil.rmtree(base / "old" / "mlruns")
    (base / "old").rename(base / "new")
    monkeypatch.chdir(base / "new")
    store = Store.open()
    before = store.client.search_runs([store.experiment_id], "attributes.status = 'FINISHED'")
    GridEnd(store.tracking_uri, parent, "finished", files={"trials.json": "[]"}).keep()
    store.close_parents()
    assert GridEnd.all() == []
    assert not (base / "old").exists()
    assert list((base / "new" / "mlruns").rglob("trials.json"))
    after = store.client.search_runs([store.experiment_id], f"attributes.run_id = '{before[0].info.run_id}'")
    assert [run.info.artifact_uri for run in after] == [before[0].info.artifact_uri]


def test_a_database_by_another_name_of_its_folder_was_not_moved(tmp_path: Path) -> None:
    (tmp_path / "project" / "mlruns" / "1").mkdir(parents=True)
    (tmp_path / "project" / "mlflow.db").touch()
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert find_move(f"{tmp_path}/project/mlruns/1", tmp_path / "link" / "mlflow.db") is None


@pytest.mark.slow
@pytest.mark.parametrize("has_log", [False, True])
def test_a_folder_that_may_only_be_read_is_read_and_not_written(
    *, has_log: bool, base: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("root may write anywhere")
    folder = base / "old"
    trained(folder, empty_database, monkeypatch)
    if has_log:
        (folder / "mlflow.db-wal").touch()
    before = files_under(folder)
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$1" -c "$2"'
    command = ["unshare", "--mount", "sh", "-c", script, str(folder), sys.executable, READ]
    if os.geteuid() != 0:
        folder.chmod(0o500)
        command = [sys.executable, "-c", READ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    folder.chmod(0o700)
    assert done.stdout == "1\n", done.stderr
    assert files_under(folder) == before


@pytest.mark.slow
def test_an_interrupted_trial_resumes_after_its_folder_was_moved(tmp_path: Path, empty_database: Path) -> None:
    old, new, cache = tmp_path / "old", tmp_path / "new", tmp_path / "cache"
    old.mkdir()
    shutil.copy(empty_database, old / "mlflow.db")
    options = ("-b", 100, "--lr", 0.01, "--artifacts", "light", "--checkpoint-every", 0)
    command = ("run", "tiny", "digits", "--plugins", PLUGINS / "tiny.py", "-e", 20, *options)
    bench = Bench(old, cache)
    process = bench.start(*command)
    while not any(journal.has_checkpoint() for journal in bench.journals()):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    old.rename(new)

    moved = Bench(new, cache)
    done = moved(*command)
    assert done.returncode == 0, done.stderr
    (journal,) = moved.journals()
    (resumed,) = [event for event in journal.events() if event.event == "resumed"]
    assert resumed.num_epochs > 0
    assert len(journal.record().epochs) == 20
    (run,) = moved.runs()
    assert run.info.status == "FINISHED"
    assert "record.json" in moved.artifacts(run)
    assert not old.exists()
