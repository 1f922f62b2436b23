"""What earlier calls left: whose it is, what is kept of it, and what is left to the calls that still run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.driver import end_of_call, leftovers
from benchbench.driver.artifact_policy import ArtifactPolicy
from benchbench.driver.plan import Planned
from benchbench.driver.provenance import write_record
from benchbench.protocol.jobs import Resolved
from benchbench.records.calls import NOBODY, Call, calling
from benchbench.records.claim import Claim
from benchbench.records.grid_end import GridEnd
from benchbench.records.host_identity import this_host
from benchbench.records.journal import Journal
from benchbench.records.record import Record
from benchbench.records.state import state_folder
from benchbench.tracking import Store, TrackerThread, is_delivered

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = ArtifactPolicy("none", keep_checkpoints=False, note=str)


@pytest.fixture
def uri(workdir: Path, empty_database: Path) -> str:
    shutil.copy(empty_database, workdir / "mlflow.db")
    return f"sqlite:///{workdir}/mlflow.db"


def left(uri: str, *, experiment: str = "bench", parent: str | None = None, keeps_checkpoint: bool = False) -> Journal:
    """Keep a trial that finished in a call which was killed then."""
    began = journals.started()
    journal = Journal.of(journals.SPEC.id, began.attempt)
    for event in (began, journals.epoch(1), journals.finished()):
        journal.append(event)
    journal.set_claim(
        Claim(uri, experiment, "0", parent_run_id=parent, artifacts="none", keeps_checkpoint=keeps_checkpoint)
    )
    (journal.folder / "checkpoint.pt").touch()
    return journal


@pytest.mark.parametrize(
    ("parent", "keeps_checkpoint", "is_ours", "is_kept"),
    [
        (None, False, False, False),
        (None, True, False, True),
        ("a grid's run", False, False, True),
        ("a grid's run", False, True, False),
        ("a grid's run", True, True, True),
    ],
)
def test_another_call_keeps_of_a_trial_what_its_own_call_was_asked_to_keep(
    *, uri: str, parent: str | None, keeps_checkpoint: bool, is_ours: bool, is_kept: bool
) -> None:
    journal, tracker = left(uri, parent=parent, keeps_checkpoint=keeps_checkpoint), TrackerThread(uri)
    leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str)
    ours = {journal.attempt} if is_ours else set()
    assert end_of_call.wait_for_deliveries(tracker, str, ours=ours)
    end_of_call.drop_delivered(tracker, NOTHING, ours=ours, kept_back=None)
    assert journal.has_checkpoint() == is_kept
    assert not journal.is_cut_off()


def test_a_trial_that_a_call_goes_on_with_is_cut_off_for_no_other(uri: str) -> None:
    journal, tracker = left(uri), TrackerThread(uri)
    planned = Planned(Resolved(journals.SPEC, "d" * 64, {}), "skip", "finished", journal=journal)
    with calling() as call:
        assert leftovers.finish([planned], tracker, NOTHING, call=call, note=str) == [journal]
        assert not journal.is_cut_off()
        assert leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str) == []
    assert journal.is_cut_off()
    tracker.close()


def test_what_an_earlier_call_left_and_nobody_can_send_holds_up_no_call(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment("scratch"))
    journal = left(uri, experiment="scratch")
    tracker, notes = TrackerThread(uri), list[str]()
    leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str)
    monkeypatch.setattr(end_of_call, "DELIVERY_SECONDS", 3600.0)
    assert end_of_call.wait_for_deliveries(tracker, notes.append, ours={"another"})
    (note,) = (text for text in notes if "earlier calls" in text)
    assert "the experiment 'scratch' is deleted" in note
    assert str(journal.folder) in note


def test_a_call_that_runs_delivers_its_trials_itself(uri: str) -> None:
    journal = left(uri)
    claim = journal.claim()
    assert claim is not None
    tracker = TrackerThread(uri)
    with calling() as call:
        journal.set_claim(replace(claim, call=call))
        tracker.send_leftovers()
        assert tracker.num_waiting == 0
    tracker.send_leftovers()
    assert tracker.close() == []
    assert is_delivered(journal)


def test_a_trial_whose_process_died_gets_the_record_of_all_that_it_did(uri: str) -> None:
    began = journals.started()
    journal = Journal.of(journals.SPEC.id, began.attempt)
    journal.append(began)
    journal.append(journals.epoch(1))
    journal.set_claim(Claim(uri, "bench", "0"))
    assert leftovers.end_dead() == [journal]
    assert '"status": "killed"' in (journal.artifacts / "record.json").read_text()


@pytest.mark.parametrize(("status", "was_resumed"), [("failed", False), ("finished", True)])
def test_a_trial_that_was_delivered_before_its_call_could_write_its_record_gets_it_from_the_next(
    uri: str, workdir: Path, status: str, *, was_resumed: bool
) -> None:
    store = Store.open(uri, "bench")
    began = journals.started()
    journal = Journal.of(journals.SPEC.id, began.attempt)
    journal.append(began)
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id))
    if was_resumed:
        journal.append(replace(journals.failed(status="killed"), timestamp_ms=journals.START_MS + 5_000))
        write_record(journal)
        journal.append(journals.resumed(0))
    journal.append(journals.finished() if status == "finished" else journals.failed())
    store.deliver(journal)
    tracker = TrackerThread(uri)
    leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str)
    assert tracker.close() == []
    (path,) = workdir.glob("mlruns/**/record.json")
    assert Record.from_json(path.read_bytes()).status == status


def test_the_run_of_a_grid_whose_call_died_before_a_trial_began_is_ended_and_not_before(
    uri: str, workdir: Path
) -> None:
    store = Store.open(uri, "bench")
    run_id = store.open_parent("rates", file=workdir / "rates.toml", headline="")
    tracker = TrackerThread(uri)

    def status_after_another_call() -> str:
        leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str)
        return str(store.client.get_run(run_id).info.status)

    with calling() as call:
        GridEnd(store.tracking_uri, run_id, "killed", call=call).keep()
        assert status_after_another_call() == "RUNNING"
    assert status_after_another_call() == "KILLED"
    tracker.close()


def test_a_dead_call_leaves_no_files_once_nothing_of_it_is_left_open(uri: str) -> None:
    ours, others = left(uri), Journal.of(journals.SPEC.id, "of another store")
    others.append(journals.started(others.attempt))
    others.append(journals.finished())
    folder = state_folder() / "calls"
    folder.mkdir()
    for journal, address, name in ((ours, uri, "one"), (others, "http://localhost:5000", "two")):
        journal.set_claim(Claim(address, "bench", "0", Call(name, this_host().kernel)))
        (folder / f"{name}.lock").touch()
        (folder / f"{name}.alive").touch()
    tracker = TrackerThread(uri)
    leftovers.finish([], tracker, NOTHING, call=NOBODY, note=str)
    tracker.close()
    assert {path.stem for path in folder.iterdir()} == {"two"}
