"""The trials that were run from a folder: their state, and what MLflow does not have of them yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.config.differences import varying
from benchbench.driver.leftovers import end_dead
from benchbench.errors import TrackingError, TrialError
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.records.known_runs import KnownRuns
from benchbench.tracking import Store, is_delivered
from benchbench.tracking.experiments import remembered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pydantic import JsonValue

_NAMED = ("model", "dataset", "optimizer", "seed")
"""The keys that name every trial of a list."""


@dataclass(frozen=True)
class TrialSummary:
    """The state of a trial.

    ``can_resume``: the same command would go on with this attempt. ``varies`` has the parameters, besides model,
    dataset, optimizer and seed, in which the trials of the list differ.
    """

    attempt: str
    spec_id: str
    model: str
    dataset: str
    optimizer: str
    seed: int
    varies: dict[str, JsonValue]
    status: str
    can_resume: bool
    val_accuracy: float | None
    test_accuracy: float | None
    epoch: int
    epochs: int
    started_ms: int
    delivered: bool
    deleted: bool
    run_id: str | None


def update_and_list_trials(experiment: str, *, note: Callable[[str], None]) -> list[TrialSummary]:
    """Bring the trials of an experiment up to date, and return their state, oldest first.

    Trials whose process died are marked as killed, and undelivered results are sent if MLflow answers. ``note`` hears
    of what could not be marked or sent; the trials are listed all the same.
    """
    _mark_dead_as_killed(note)
    journals = [journal for journal in Journal.all() if _is_of(journal, experiment) and journal.try_record()]
    waiting = [journal for journal in journals if _is_waiting(journal)]
    interrupted = {journal for journal in journals if journal.is_interrupted()}
    store, known = None, KnownRuns({}, frozenset())
    if waiting or interrupted or GridEnd.all():
        try:
            store = Store.open(None, experiment)
            if store.note:
                note(store.note)
            _send(waiting, store, note)
            if interrupted:
                known = store.find_known_runs({journal.record().spec_id for journal in interrupted})
        except TrackingError as error:
            note(f"not delivered: {error.message}" if waiting else error.message)
    return _summarize(journals, resumed=_resumed(journals, interrupted, known, store))


def _mark_dead_as_killed(note: Callable[[str], None]) -> None:
    try:
        end_dead()
    except TrialError as error:  # the folder may only be read
        note(f"not marked as killed: {error.message}")


def _is_of(journal: Journal, experiment: str) -> bool:
    """Tell whether a trial is of an experiment, whatever that was called when the trial began."""
    claim = journal.claim()
    if claim is None:
        return False
    return experiment == claim.experiment or remembered_id(claim.tracking_uri, experiment) == claim.experiment_id


def _resumed(
    journals: Sequence[Journal], interrupted: Collection[Journal], known: KnownRuns, store: Store | None
) -> set[str]:
    """Return the attempts that the next call resumes: the newest at a trial that MLflow does not have finished.

    An attempt whose run was deleted does not count.
    """
    newest: dict[tuple[str, str], Journal] = {}
    for journal in journals:
        record = journal.record()
        if journal.attempt not in known.deleted_attempts and (store is None or journal.goes_to(store.tracking_uri)):
            newest[(record.spec_id, record.data_digest)] = journal
    unfinished = [journal for key, journal in newest.items() if key not in known.finished]
    return {journal.attempt for journal in unfinished if journal in interrupted}


def _summarize(journals: Sequence[Journal], *, resumed: Collection[str]) -> list[TrialSummary]:
    varied = varying([journal.record().spec for journal in journals])
    summaries = (_summary(journal, varied, can_resume=journal.attempt in resumed) for journal in journals)
    return sorted(summaries, key=lambda trial: trial.started_ms)


def _summary(journal: Journal, varied: Collection[str], *, can_resume: bool) -> TrialSummary:
    """Return the state of a trial; ``varied`` are the keys in which the trials of the list differ."""
    record = journal.record()
    is_dead = record.status == "running" and journal.is_interrupted()
    return TrialSummary(
        attempt=record.attempt,
        spec_id=record.spec_id,
        model=record.spec.model.name,
        dataset=record.spec.dataset.name,
        optimizer=record.spec.optimizer.name,
        seed=record.spec.seed,
        varies={key: value for key, value in record.spec.flat().items() if key in varied and key not in _NAMED},
        status="killed" if is_dead else record.status,
        can_resume=can_resume,
        val_accuracy=record.final.val_accuracy if record.final else None,
        test_accuracy=record.final.test_accuracy if record.final else None,
        epoch=len(record.epochs),
        epochs=record.spec.epochs,
        started_ms=record.started_ms,
        delivered=is_delivered(journal),
        deleted=journal.is_deleted(),
        run_id=record.mlflow.run_id if record.mlflow else None,
    )


def _is_waiting(journal: Journal) -> bool:
    return not is_delivered(journal) and journal.record().status != "running" and not journal.is_in_use()


def _send(waiting: Sequence[Journal], store: Store, note: Callable[[str], None]) -> None:
    for journal in waiting:
        if journal.goes_to(store.tracking_uri):
            try:
                store.deliver(journal)
            except TrackingError as error:
                note(f"not delivered: {journal.folder}: {error.message}")
    store.close_parents()
