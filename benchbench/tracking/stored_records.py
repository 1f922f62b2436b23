"""Finished work read back: the records of an experiment's trials.

The ``record.json`` of a run comes first: it is there whoever reads, wherever the trial ran. A run that keeps no
artifacts, or whose trial was resumed since, is read from its journal if that is on this machine.
"""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.config.defaults import default_experiment
from benchbench.errors import TrackingError, counted
from benchbench.records import file_names
from benchbench.records.artifact_files import PredictionColumn
from benchbench.records.cleaning import cleaned_predictions
from benchbench.records.journal import Journal
from benchbench.records.known_runs import Predictions
from benchbench.records.record import MlflowRun, OtherFormatError, Record, RecordError
from benchbench.tracking import run_data
from benchbench.tracking.experiments import check_files, find_experiment
from benchbench.tracking.reading import ReadableStore, as_tracking_error, reading, search
from benchbench.tracking.run_files import artifact_text
from benchbench.tracking.store import leftovers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mlflow.entities import Run

    from benchbench.tracking.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredRecords:
    """The records of an experiment, oldest trial first.

    ``without_record`` are the ids of runs that kept none and whose journals are not here; ``num_waiting`` is the
    number of trials that have ended and that MLflow does not have yet.
    """

    records: tuple[Record, ...]
    without_record: tuple[str, ...]
    num_waiting: int


def load_records(experiment: str | None = None, *, tracking_uri: str | None = None) -> list[Record]:
    """Return the records of all trials of an experiment that MLflow has, whatever their status, oldest first.

    Without a name it is the experiment of ``MLFLOW_EXPERIMENT_NAME``, else ``bench``. Runs that left no record are
    named in a warning of the log. Raises :class:`TrackingError` if the store or the experiment cannot be read, and for
    a record that another version of benchbench wrote.
    """
    loaded = read_experiment(experiment, tracking_uri=tracking_uri)
    if loaded.without_record:
        runs = counted(len(loaded.without_record), "run")
        _log.warning("%s left no record: %s", runs, ", ".join(loaded.without_record))
    return list(loaded.records)


def read_experiment(
    experiment: str | None = None, *, tracking_uri: str | None = None, spec_ids: Collection[str] = ()
) -> StoredRecords:
    """Return the records of an experiment, and what has none; if specs are named, those of their trials alone."""
    with reading(tracking_uri) as store:
        from mlflow.entities import ViewType

        name = experiment or default_experiment()
        mlflow_experiment = find_experiment(store.client, store.tracking_uri, name)
        experiment_id = mlflow_experiment.experiment_id
        runs = list(search(store.client, experiment_id, "", ViewType.ACTIVE_ONLY))
        trials = _one_per_attempt(
            run
            for run in runs
            if run_data.ATTEMPT_TAG in run.data.tags
            and (not spec_ids or run.data.tags.get(run_data.SPEC_TAG) in spec_ids)
        )
        records = {run.info.run_id: record_of(store, run) for run in trials}
        if trials and not any(records.values()):
            check_files(store.tracking_uri, mlflow_experiment)
    waiting = [
        journal
        for journal in leftovers(store.tracking_uri)
        if not journal.is_deleted() and (claim := journal.claim()) and claim.experiment_id == experiment_id
    ]
    return StoredRecords(
        records=tuple(sorted(filter(None, records.values()), key=lambda record: record.started_ms)),
        without_record=tuple(run_id for run_id, record in records.items() if record is None),
        num_waiting=len(waiting),
    )


def _one_per_attempt(runs: Iterable[Run]) -> list[Run]:
    """Return the run with most of each attempt: an error of a server may leave a second one, which stays empty."""
    kept: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.info.end_time is not None, len(run.data.metrics))):
        kept[run.data.tags[run_data.ATTEMPT_TAG]] = run
    return list(kept.values())


def read_run(store: Store, run_id: str) -> Record | None:
    """Return the record of a run, or None if it kept none and its journal is not here."""
    with as_tracking_error(f"cannot read the run {run_id}"):
        return record_of(ReadableStore(store.client, store.tracking_uri), store.client.get_run(run_id))


def record_of(store: ReadableStore, run: Run) -> Record | None:
    """Return the record of a run, or None if it kept none and its journal is not here, or if it is not whole yet."""
    if run_data.UNFINISHED_TAG in run.data.tags:
        return None
    text = artifact_text(store, run, file_names.RECORD)
    kept = None if text is None else _parse(text, run)
    # The file may be that of an earlier end of the trial, after which it was resumed.
    if kept is None or (kept.status, kept.ended_ms) != (run.data.tags.get(run_data.STATUS_TAG), run.info.end_time):
        kept = _from_journal(run) or _after_an_interruption(kept, run.data.tags.get(run_data.STATUS_TAG))
    return None if kept is None else replace(kept, mlflow=mlflow_run(store, run))


def mlflow_run(store: ReadableStore, run: Run) -> MlflowRun:
    """Return where a run is, and what it is called."""
    origin_id = run.data.tags.get(run_data.ORIGIN_TAG, "")
    return MlflowRun(store.tracking_uri, run.info.experiment_id, run.info.run_id, origin_id, run.info.run_name)


def _after_an_interruption(kept: Record | None, status: str | None) -> Record | None:
    """Return what the record of an interrupted trial tells of one that has this status now, or None."""
    if kept is None or kept.status in ("finished", status):
        return kept
    return replace(kept, status="running", error=None, ended_ms=None) if status == "running" else None


def _parse(text: str, run: Run) -> Record:
    try:
        return Record.from_json(text)
    except RecordError as error:
        hint = "delete the run to leave it out"
        if isinstance(error, OtherFormatError):
            version = run.data.tags.get(f"{run_data.VERSION_TAG}benchbench", "another version")
            hint = f"benchbench {version} wrote it; read it with that version, or {hint}"
        subject = f"the {file_names.RECORD} of run {run.info.run_id} ({run.info.run_name})"
        raise TrackingError(f"{subject} {error}", hint=hint) from error


def _from_journal(run: Run) -> Record | None:
    tags = run.data.tags
    journal = Journal.of(tags.get(run_data.SPEC_TAG, ""), tags[run_data.ATTEMPT_TAG])
    if not journal.exists():
        return None
    try:
        return journal.record()
    except ValueError as error:
        raise TrackingError(
            f"the journal of run {run.info.run_id} was written by another version of benchbench: {journal.folder}",
            hint="read it with that version, or delete the run to leave it out",
        ) from error


def load_predictions(run_id: str, *, tracking_uri: str | None = None) -> Predictions:
    """Return the predictions that a run keeps.

    Raises :class:`TrackingError` if it keeps none, as with ``--artifacts none`` and for trials that did not finish.
    """
    with reading(tracking_uri) as store:
        text = artifact_text(store, store.client.get_run(run_id), file_names.PREDICTIONS)
    # As they travel, so that trials from elsewhere are of the same images.
    rows = [] if text is None else list(csv.DictReader(io.StringIO(cleaned_predictions(text))))
    columns = (PredictionColumn.IMAGE, PredictionColumn.CLASS, PredictionColumn.PREDICTION)
    if not rows or not rows[0].keys() >= set(columns):
        raise TrackingError(
            f"the run {run_id} keeps no predictions",
            hint="finished trials keep them unless they ran with --artifacts none",
        )
    images, classes, predictions = (tuple(row[name] for row in rows) for name in columns)
    return Predictions(images, classes, predictions)
