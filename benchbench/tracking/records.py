"""Finished work read back: the records of an experiment's trials.

The ``record.json`` of a run comes first: it is there whoever reads, wherever the trial ran. A run that keeps no
artifacts, or whose trial was resumed since, is read from its journal where that is on this machine.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from benchbench.errors import TrackingError, closest
from benchbench.records import files
from benchbench.records.journal import Journal
from benchbench.records.predictions import Predictions
from benchbench.records.record import FORMAT, MlflowRun, Record
from benchbench.tracking import content
from benchbench.tracking.address import find_store, sqlite_path, without_credentials
from benchbench.tracking.files import fetch
from benchbench.tracking.grids import search
from benchbench.tracking.quiet import mlflow_client
from benchbench.tracking.store import DEFAULT_EXPERIMENT, leftovers, other_version_hint, told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_log = logging.getLogger(__name__)
_NAMED = 5


@dataclass(frozen=True)
class Loaded:
    """The records of an experiment, oldest trial first.

    ``without_record`` are the ids of runs that kept none and whose journals are not here; ``num_waiting`` is the
    number of trials that have ended and that MLflow does not have yet.
    """

    records: tuple[Record, ...]
    without_record: tuple[str, ...]
    num_waiting: int


def load_records(experiment: str = DEFAULT_EXPERIMENT, *, tracking_uri: str | None = None) -> list[Record]:
    """Return the records of all trials of an experiment that MLflow has, whatever their status, oldest first.

    Runs that left no record are named in a warning of the log. Raises :class:`TrackingError` where the store or the
    experiment cannot be read, and for a record that another version of benchbench wrote.
    """
    loaded = read_experiment(experiment, tracking_uri=tracking_uri)
    if loaded.without_record:
        _log.warning("%d run(s) left no record: %s", len(loaded.without_record), ", ".join(loaded.without_record))
    return list(loaded.records)


def read_experiment(
    experiment: str = DEFAULT_EXPERIMENT, *, tracking_uri: str | None = None, spec_ids: Collection[str] = ()
) -> Loaded:
    """Return the same, with what there is no record of; where specs are named, of their trials alone."""
    with reading(tracking_uri) as client:
        from mlflow.entities import ViewType

        found = find_experiment(client, experiment)
        runs = list(search(client, found.experiment_id, "", ViewType.ACTIVE_ONLY))
        trials = [
            run
            for run in runs
            if content.ATTEMPT_TAG in run.data.tags and (not spec_ids or run.data.tags[content.SPEC_TAG] in spec_ids)
        ]
        records = {run.info.run_id: _record(client, run) for run in trials}
        uri = without_credentials(client.tracking_uri)
    waiting = [journal for journal in leftovers(uri) if (claim := journal.claim()) and claim.experiment == experiment]
    return Loaded(
        records=tuple(sorted(filter(None, records.values()), key=lambda record: record.started_ms)),
        without_record=tuple(run_id for run_id, record in records.items() if record is None),
        num_waiting=len(waiting),
    )


def read_run(client: MlflowClient, run_id: str) -> Record | None:
    """Return the record of a run, or None where it kept none and its journal is not here."""
    with told(f"cannot read the run {run_id}"):
        return _record(client, client.get_run(run_id))


@contextmanager
def reading(tracking_uri: str | None) -> Iterator[MlflowClient]:
    """Give a client of a store that must be there; raises :class:`TrackingError` for all that goes wrong with it."""
    uri = find_store(tracking_uri)
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        raise TrackingError(
            f"nothing was run here: there is no tracking database {path}",
            hint="start bench where you ran the trials, or set MLFLOW_TRACKING_URI",
        )
    with told(f"cannot read the tracking store {without_credentials(uri)}", hint=other_version_hint(uri)):
        yield mlflow_client(uri)


def find_experiment(client: MlflowClient, name: str) -> Experiment:
    """Return an experiment; raises :class:`TrackingError` with the closest name for one that is not there."""
    found = client.get_experiment_by_name(name)
    if found is None:
        names = [experiment.name for experiment in client.search_experiments()]
        hint = closest(name, names) or f"experiments: {', '.join(names[:_NAMED])}"
        raise TrackingError(f"no experiment named {name!r}", hint=hint)
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the experiment {name!r} is deleted",
            hint=f"`mlflow experiments restore -x {found.experiment_id}` brings it back",
        )
    return found


def artifact_text(client: MlflowClient, run: Run, name: str) -> str | None:
    """Return a text among the artifacts of a run, or None where it has no such file."""
    with tempfile.TemporaryDirectory() as folder:
        path = fetch(client, run, (name,), Path(folder)) / name
        return path.read_text(encoding="utf-8") if path.exists() else None


def _record(client: MlflowClient, run: Run) -> Record | None:
    place = MlflowRun(without_credentials(client.tracking_uri), run.info.experiment_id, run.info.run_id)
    text = artifact_text(client, run, files.RECORD)
    kept = None if text is None else _parse(text, run)
    if kept is None or kept.status != run.data.tags.get(content.STATUS_TAG):
        kept = _from_journal(run) or kept
    return None if kept is None else replace(kept, mlflow=place)


def _parse(text: str, run: Run) -> Record:
    what = f"the record of run {run.info.run_id} ({run.info.run_name})"
    try:
        written = json.loads(text).get("format")
        if written != FORMAT:
            version = run.data.tags.get(f"{content.VERSION_TAG}benchbench", "another version")
            raise TrackingError(
                f"{what} is of format {written!r}, and this benchbench reads format {FORMAT}",
                hint=f"benchbench {version} wrote it; read it with that, or delete the run to leave it out",
            )
        return Record.from_json(text)
    except (ValueError, AttributeError) as error:
        raise TrackingError(
            f"{what} cannot be read: {_first_line(error)}", hint="delete the run to leave it out"
        ) from error


def _from_journal(run: Run) -> Record | None:
    tags = run.data.tags
    journal = Journal.of(tags.get(content.SPEC_TAG, ""), tags[content.ATTEMPT_TAG])
    if not journal.exists():
        return None
    try:
        return journal.record()
    except ValidationError as error:
        raise TrackingError(
            f"the journal of run {run.info.run_id} was written by another version of benchbench: {journal.folder}",
            hint="read it with that version, or delete the run to leave it out",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def load_predictions(run_id: str, *, tracking_uri: str | None = None) -> Predictions:
    """Return the predictions that a run keeps.

    Raises :class:`TrackingError` where it keeps none, as with ``--artifacts none`` and for trials that did not finish.
    """
    with reading(tracking_uri) as client:
        text = artifact_text(client, client.get_run(run_id), files.PREDICTIONS)
    rows = [] if text is None else list(csv.DictReader(io.StringIO(text)))
    if not rows or not rows[0].keys() >= {"image", "class", "prediction"}:
        raise TrackingError(
            f"the run {run_id} keeps no predictions",
            hint="finished trials keep them unless they ran with --artifacts none",
        )
    images, classes, predictions = (tuple(row[name] for row in rows) for name in ("image", "class", "prediction"))
    return Predictions(images, classes, predictions)
