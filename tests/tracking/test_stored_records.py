"""Records of trials that are read back, whatever their runs have kept."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.made_records import events, spec
from support.stores import Filler
from typer.testing import CliRunner, Result

import benchbench as bb
from benchbench.cli.main import make_app
from benchbench.errors import TrackingError
from benchbench.records.claim import Claim
from benchbench.records.journal import Journal
from benchbench.tracking import Store
from benchbench.tracking.client import mlflow_client
from benchbench.tracking.stored_records import read_experiment

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.records.events import Event
    from benchbench.records.record import Record


def bench(*words: object) -> Result:
    return CliRunner().invoke(make_app(), ["compare", *map(str, words)])


def test_a_run_without_artifacts_is_read_from_its_journal_or_named(
    workdir: Path, empty_database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    store = Store.open(f"sqlite:///{workdir}/mlflow.db")
    told = events(spec(0), 0.5)
    attempt: str = getattr(told[0], "attempt", "")
    here = Filler(Journal.of(spec(0).id, attempt).folder.parent)
    here.trial(store, told, has_record=False)
    elsewhere = Filler(workdir / "elsewhere").trial(store, events(spec(1), 0.6), has_record=False)
    with caplog.at_level(logging.WARNING, "benchbench"):
        (record,) = bb.load_records()
    assert record.attempt == attempt
    assert record.final is not None
    assert record.final.test_accuracy == 0.5
    assert f"1 run left no record: {elsewhere}" in caplog.text
    result = bench()
    assert result.exit_code == 0
    assert f"left out, without a record: {elsewhere}" in result.stderr


def resumed(workdir: Path, empty_database: Path, *later: Event, is_elsewhere: bool = False) -> list[Record]:
    """Return the records of a trial that was killed after its first epoch, with its record, and went on."""
    shutil.copy(empty_database, workdir / "mlflow.db")
    store = Store.open(f"sqlite:///{workdir}/mlflow.db")
    told = events(spec(0), 0.5)
    attempt: str = getattr(told[0], "attempt", "")
    journal = Journal.of(spec(0).id, attempt)
    Filler(journal.folder.parent).trial(store, [*told[:2], journals.failed(status="killed")])
    for event in later:
        journal.append(event)
    store.deliver(journal)
    if is_elsewhere:
        shutil.rmtree(journal.folder)
    return bb.load_records()


def test_the_record_of_a_resumed_trial_is_not_the_one_from_before(workdir: Path, empty_database: Path) -> None:
    (record,) = resumed(workdir, empty_database, *events(spec(0), 0.5)[2:])
    assert record.status == "finished"


def test_a_record_of_an_earlier_interruption_is_not_that_of_the_trial(workdir: Path, empty_database: Path) -> None:
    again = replace(journals.failed(status="killed"), timestamp_ms=journals.START_MS + 99_000)
    (record,) = resumed(workdir, empty_database, journals.epoch(2), again)
    assert (record.status, len(record.epochs)) == ("killed", 2)


def test_a_trial_that_another_machine_resumed_is_not_counted_as_killed(workdir: Path, empty_database: Path) -> None:
    (record,) = resumed(workdir, empty_database, journals.resumed(1), is_elsewhere=True)
    assert (record.status, record.error, record.ended_ms) == ("running", None, None)


def test_a_trial_that_another_machine_resumed_and_finished_without_a_record_has_none(
    workdir: Path, empty_database: Path
) -> None:
    later = [journals.resumed(1), *events(spec(0), 0.5)[2:]]
    assert resumed(workdir, empty_database, *later, is_elsewhere=True) == []


def test_trials_that_wait_for_mlflow_are_noted(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    store = Store.open(f"sqlite:///{workdir}/mlflow.db")
    Filler(workdir / "elsewhere").trial(store, events(spec(0), 0.5))
    told = events(spec(1), 0.6)
    journal = Journal.of(spec(1).id, getattr(told[0], "attempt", ""))
    for event in told:
        journal.append(event)
    journal.set_claim(Claim(store.tracking_uri, "bench", store.experiment_id))
    result = bench()
    assert result.exit_code == 0
    assert "1 trial not delivered to MLflow yet" in result.stderr


def test_of_two_runs_of_one_attempt_the_one_that_ended_is_read(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    store = Store.open(f"sqlite:///{workdir}/mlflow.db")
    run_id = Filler(workdir / "elsewhere").trial(store, events(spec(0), 0.5))
    run = store.client.get_run(run_id)
    tags = run.data.tags | {"benchbench.status": "running"}
    for started_ms in (run.info.start_time - 1, run.info.start_time + 1):
        store.client.create_run(store.experiment_id, start_time=started_ms, tags=tags)
    loaded = read_experiment()
    assert [record.mlflow and record.mlflow.run_id for record in loaded.records] == [run_id]
    assert loaded.without_record == ()


def test_an_experiment_that_was_deleted_says_how_to_get_it_back(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    client = mlflow_client(f"sqlite:///{workdir}/mlflow.db")
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError, match="the experiment 'gone' is deleted") as caught:
        bb.load_records("gone")
    assert "mlflow experiments restore" in caught.value.hint
