"""The trials that were run from a folder, as they are listed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from support import journals, made_records

from benchbench.driver.runs import update_and_list_trials
from benchbench.records.claim import Claim
from benchbench.records.journal import Journal
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path


def ended(store: Store, seed: int, status: str, *, uri: str = "") -> Journal:
    """Keep a trial that has ended."""
    started, epoch, *others = made_records.events(made_records.spec(seed))
    journal = Journal.of(made_records.spec(seed).id, started.attempt)  # type: ignore[union-attr]
    for event in (started, epoch, *(others if status == "finished" else [journals.failed(status="killed")])):
        journal.append(event)
    claim = Claim(uri or store.tracking_uri, store.experiment, store.experiment_id, is_open=False)
    journal.set_claim(claim)
    return journal


def test_only_those_that_the_next_call_goes_on_with_are_said_to_resume(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    store = Store.open(None, "bench")
    ended(store, 1, "killed")
    deleted = store.deliver(ended(store, 2, "killed"))
    store.client.delete_run(deleted.run_id)
    for status in ("killed", "finished"):
        ended(store, 3, status)
    ended(store, 4, "killed", uri="http://localhost:5000")
    imported = store.deliver(ended(store, 5, "killed"))
    store.client.set_tag(imported.run_id, "benchbench.status", "finished")
    trials = update_and_list_trials("bench", note=str)
    assert [(trial.seed, trial.status, trial.can_resume) for trial in trials] == [
        (1, "killed", True),
        (2, "killed", False),
        (3, "killed", False),
        (3, "finished", False),
        (4, "killed", False),
        (5, "killed", False),
    ]
