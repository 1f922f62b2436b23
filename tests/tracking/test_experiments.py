"""Experiments that were renamed, that may only be read, and grids of one name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import journals

import benchbench as bb
from benchbench.errors import TrackingError
from benchbench.records.claim import Claim
from benchbench.tracking import Store, TrackerThread, is_delivered
from benchbench.tracking.grid_runs import find_parent
from benchbench.tracking.store import check_store
from benchbench.tracking.stored_records import read_experiment

if TYPE_CHECKING:
    from benchbench.records.journal import Journal


@pytest.fixture
def store(workdir: Path, empty_database: Path) -> Store:
    shutil.copy(empty_database, workdir / "mlflow.db")
    return Store.open()


def ended(store: Store, folder: Path) -> Journal:
    """Return a trial that is not delivered yet."""
    journal = journals.write_journal(folder, journals.started("1"), journals.epoch(1), journals.finished())
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id))
    return journal


def test_a_renamed_experiment_is_not_made_a_second_time(store: Store) -> None:
    store.client.rename_experiment(store.experiment_id, "study 1")
    with pytest.raises(TrackingError, match="'bench' was renamed in MLflow: it is called 'study 1' now") as caught:
        Store.open()
    assert "--experiment 'study 1' continues it" in caught.value.hint
    with pytest.raises(TrackingError, match="was renamed"):
        read_experiment()
    assert [experiment.name for experiment in store.client.search_experiments()] == ["study 1", "Default"]
    assert Store.open(None, "study 1").experiment_id == store.experiment_id


def test_a_trial_that_waits_goes_to_the_experiment_that_was_renamed(store: Store, tmp_path: Path) -> None:
    journal = ended(store, tmp_path)
    store.client.rename_experiment(store.experiment_id, "study 1")
    run = Store.open(None, "study 1").deliver(journal)
    assert run.experiment_id == store.experiment_id


def test_an_experiment_that_got_the_name_of_a_renamed_one_is_not_taken_for_it(store: Store, tmp_path: Path) -> None:
    journal = ended(store, tmp_path)
    store.client.rename_experiment(store.experiment_id, "study 1")
    store.client.create_experiment("bench")
    with pytest.raises(TrackingError, match="'bench' was renamed in MLflow: it is called 'study 1' now"):
        Store.open()
    assert Store.open(None, "study 1").deliver(journal).experiment_id == store.experiment_id


def test_a_store_that_was_made_anew_is_not_taken_for_a_renamed_one(
    store: Store, workdir: Path, empty_database: Path
) -> None:
    (workdir / "mlflow.db").unlink()
    shutil.copy(empty_database, workdir / "other.db")
    other = Store.open("sqlite:///other.db", "something else")
    assert other.experiment_id == store.experiment_id
    (workdir / "other.db").rename(workdir / "mlflow.db")
    assert Store.open().experiment == "bench"


def test_a_run_that_is_deleted_while_it_trains_is_noted_and_gets_everything_once_it_is_restored(
    store: Store, tmp_path: Path
) -> None:
    journal = journals.write_journal(tmp_path, journals.started("1"))
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id))
    run = store.deliver(journal)
    store.client.delete_run(run.run_id)
    told: list[str] = []
    tracker = TrackerThread(on_trouble=told.append)
    for event in (journals.epoch(1), journals.finished()):
        journal.append(event)
        tracker.notify(journal)
    assert tracker.close() == []
    assert tracker.deleted() == [journal]
    assert tracker.delivered() == []
    assert journal.record().mlflow is None
    assert told == []

    store.client.restore_run(run.run_id)
    Store.open().deliver(journal)
    assert is_delivered(journal)
    assert journal.record().mlflow == run
    assert store.client.get_run(run.run_id).data.metrics["train_loss"] == 2.0


def test_two_grid_files_of_one_name_have_runs_of_their_own(store: Store, workdir: Path) -> None:
    first, second = workdir / "a" / "grid.toml", workdir / "b" / "grid.toml"
    runs = [store.open_parent("lr", file=file, headline=f"Which of {file}?") for file in (first, second, first)]
    assert runs[0] == runs[2] != runs[1]
    assert find_parent([], store.experiment_id, name="lr", file=second) == runs[1]
    assert find_parent([], store.experiment_id, name="lr", file=Path("b/grid.toml")) == runs[1]
    assert find_parent([], store.experiment_id, name="lr", file=workdir / "c" / "grid.toml") is None


def test_two_folders_that_share_a_store_have_grids_of_their_own(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_in(folder: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.setenv("BENCH_STATE", str(tmp_path / folder / ".bench"))
        return store.open_parent("lr", file=tmp_path / folder / "grid.toml", headline="")

    ours, theirs = open_in("ann"), open_in("bob")
    assert ours != theirs
    assert open_in("ann") == ours
    (tmp_path / "ann").rename(tmp_path / "moved")
    assert open_in("moved") == ours


def test_trials_whose_grid_was_deleted_for_good_are_below_none(store: Store, tmp_path: Path) -> None:
    parent = store.open_parent("lr", file=tmp_path / "grid.toml", headline="")
    journal = ended(store, tmp_path)
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id, parent_run_id=parent))
    run = store.deliver(journal)
    assert find_parent([run.run_id], store.experiment_id) == parent
    store.client.delete_run(parent)
    assert find_parent([run.run_id], store.experiment_id) is None
    store.client._tracking_client.store._hard_delete_run(parent)  # as `mlflow gc` does
    assert find_parent([run.run_id], store.experiment_id) is None


def test_a_store_is_checked_without_leaving_anything(workdir: Path, empty_database: Path) -> None:
    assert check_store() == f"sqlite:///{workdir}/mlflow.db"
    assert list(workdir.iterdir()) == []
    shutil.copy(empty_database, workdir / "mlflow.db")
    check_store()
    store = Store.open()
    assert len(store.client.search_experiments()) == 2
    check_store()
    assert store.client.get_experiment(store.experiment_id).tags.keys() == {"mlflow.experimentKind"}
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(TrackingError, match="is deleted"):
        check_store()


def test_the_environment_names_the_experiment_for_all_who_name_none(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    mine = Store.open()
    assert mine.experiment == "mine"
    run = mine.deliver(ended(mine, tmp_path))
    assert read_experiment().without_record == (run.run_id,), "this trial keeps no files"
    assert bb.load_records("bench") == []
    store.client.delete_experiment(mine.experiment_id)
    with pytest.raises(TrackingError, match="'mine' is deleted"):
        check_store()


def test_names_that_were_damaged_are_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "experiments.json").write_text('{"sqlite', encoding="utf-8")
    assert Store.open().experiment_id == store.experiment_id
    assert json.loads((tmp_path / "state" / "experiments.json").read_text(encoding="utf-8"))
