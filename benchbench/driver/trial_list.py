"""The trials that were run from a folder: their state, and what MLflow does not have of them yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.config.differences import varying
from benchbench.driver.leftovers import end_dead
from benchbench.errors import TrackingError, TrialError
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.tracking import Store, is_delivered
from benchbench.tracking.experiments import remembered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_NAMED = ("model", "dataset", "optimizer", "seed")
"""The keys that name every trial of a list."""


def trial_list(experiment: str, *, note: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the trials of an experiment as plain data, oldest first.

    Trials whose process died are marked as killed, and undelivered results are sent if MLflow answers. ``note`` hears
    of what could not be marked or sent; the trials are listed all the same.
    """
    try:
        end_dead()
    except TrialError as error:  # the folder may only be read
        note(f"not marked as killed: {error.message}")
    journals = [journal for journal in Journal.all() if _is_of(journal, experiment) and journal.try_record()]
    _send_undelivered(journals, experiment, note)
    varied = varying([journal.record().spec for journal in journals])
    return sorted((_describe(journal, varied) for journal in journals), key=lambda row: row["started_ms"])


def _is_of(journal: Journal, experiment: str) -> bool:
    """Tell whether a trial is of an experiment, whatever that was called when the trial began."""
    claim = journal.claim()
    if claim is None:
        return False
    return experiment == claim.experiment or remembered_id(claim.tracking_uri, experiment) == claim.experiment_id


def _describe(journal: Journal, varied: Collection[str]) -> dict[str, Any]:
    """Return the state of a trial; ``varied`` are the keys in which the trials of the list differ."""
    record = journal.record()
    is_dead = record.status == "running" and journal.is_interrupted()
    return {
        "attempt": record.attempt,
        "spec_id": record.spec_id,
        "model": record.spec.model.name,
        "dataset": record.spec.dataset.name,
        "optimizer": record.spec.optimizer.name,
        "seed": record.spec.seed,
        "varies": {key: value for key, value in record.spec.flat().items() if key in varied and key not in _NAMED},
        "status": "killed" if is_dead else record.status,
        "can_resume": is_dead or (record.status != "running" and journal.is_interrupted()),
        "val_accuracy": record.final.val_accuracy if record.final else None,
        "test_accuracy": record.final.test_accuracy if record.final else None,
        "epoch": len(record.epochs),
        "epochs": record.spec.epochs,
        "started_ms": record.started_ms,
        "delivered": is_delivered(journal),
        "deleted": journal.is_deleted(),
        "run_id": record.mlflow.run_id if record.mlflow else None,
    }


def _send_undelivered(journals: Sequence[Journal], experiment: str, note: Callable[[str], None]) -> None:
    waiting = [
        journal
        for journal in journals
        if not is_delivered(journal) and journal.record().status != "running" and not journal.is_in_use()
    ]
    if not waiting and not GridEnd.all():
        return
    try:
        store = Store.open(None, experiment)
        for journal in waiting:
            if journal.goes_to(store.tracking_uri):
                try:
                    store.deliver(journal)
                except TrackingError as error:
                    note(f"not delivered: {journal.folder}: {error.message}")
        store.close_parents()
    except TrackingError as error:
        note(f"not delivered: {error.message}")
