"""The store, and the delivery of a journal to it, which may be repeated after any doubt.

MLflow drops a metric that equals one it has in key, value, timestamp and step, takes params that come again
unchanged, and overwrites artifacts. Runs and models it would make twice: before making one, we look for our
attempt.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from benchbench.errors import TrackingError
from benchbench.records import files
from benchbench.records.events import Started
from benchbench.records.journal import DELIVERED, GridEnd, Journal
from benchbench.records.record import Record
from benchbench.tracking import content, grids
from benchbench.tracking.address import find_store, sqlite_path, without_credentials
from benchbench.tracking.delivery import Delivery
from benchbench.tracking.quiet import make_database, mlflow_client

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from benchbench.records.events import Event
    from benchbench.records.finished import Known
    from benchbench.records.journal import Claim
    from benchbench.records.record import MlflowRun

DEFAULT_EXPERIMENT = "bench"
LOCK_SECONDS = 60


class Store:
    """MLflow's store with one experiment open. Used by one thread at a time."""

    def __init__(self, client: MlflowClient, *, tracking_uri: str, experiment: Experiment) -> None:
        self.client = client
        self.tracking_uri = tracking_uri
        self.experiment: str = experiment.name
        self.experiment_id: str = experiment.experiment_id
        self._experiment_ids = {self.experiment: self.experiment_id}
        self._deliveries: dict[str, Delivery] = {}

    @classmethod
    def open(cls, tracking_uri: str | None = None, experiment: str = DEFAULT_EXPERIMENT) -> Store:
        """Return the store, its experiment made if it was not there.

        Without a URI it is that of ``MLFLOW_TRACKING_URI``, else MLflow's default. Raises
        :class:`TrackingError` where runs cannot be written to it.
        """
        uri = find_store(tracking_uri)
        what = f"cannot use the tracking store {without_credentials(uri)}"
        with told(what, hint=other_version_hint(uri)):
            make_database(uri)
            client = mlflow_client(uri)
            found = _experiment(client, experiment)
        _check_experiment(found, uri)
        return cls(client, tracking_uri=without_credentials(uri), experiment=found)

    def owns(self, journal: Journal) -> bool:
        """Tell whether a journal goes to this store: it was begun here, or nowhere yet."""
        run = journal.mlflow_run()
        return run is None or run.tracking_uri == self.tracking_uri

    def deliver(self, journal: Journal) -> MlflowRun:
        """Send all of a journal that this object has not sent yet, and return the run.

        Sends from the start where this object does not know the journal: nothing arrives twice. A run that
        was deleted in MLflow stays deleted. Raises :class:`TrackingError` where not all could be sent.
        """
        lock = FileLock(journal.folder / "delivery.lock", timeout=LOCK_SECONDS)
        with told(f"cannot write to the tracking store {self.tracking_uri}"), lock:
            attempt = journal.folder.name
            files = _files(journal)
            events = list(journal.events())
            record = Record.of(events)
            # Forgotten while it is used: what fails half-way is begun anew.
            delivery = self._deliveries.pop(attempt, None) or self._take_up(journal, events[0])
            delivery.send(events, record, journal.artifacts)
            if record.status == "running":
                self._deliveries[attempt] = delivery
            else:
                _marker(journal).write_text(json.dumps(files), encoding="utf-8")
            return delivery.run

    def known(self, spec_ids: Collection[str]) -> Known:
        """Return the finished runs of these specs, and which attempts at anything had their runs deleted."""
        with told(f"cannot read the tracking store {self.tracking_uri}"):
            return grids.known(self.client, self.experiment_id, spec_ids)

    def open_parent(self, name: str, question: str) -> str:
        """Return the id of the run of a grid, running: it is made, or opened again where there is one."""
        with told(f"cannot write to the tracking store {self.tracking_uri}"):
            return grids.open_parent(self.client, self.experiment_id, name, question)

    def close_parents(self) -> None:
        """End the runs of grids whose :class:`GridEnd` is kept, and describe them."""
        with told(f"cannot write to the tracking store {self.tracking_uri}"):
            for end in GridEnd.all():
                if end.tracking_uri != self.tracking_uri:
                    continue
                grids.close_parent(self.client, end)
                end.drop()

    def _take_up(self, journal: Journal, started: Event) -> Delivery:
        assert isinstance(started, Started)  # noqa: S101 - Record.of has seen to it
        known, claim = journal.mlflow_run(), journal.claim()
        experiment_id = self._experiment_of(claim)
        # Only a run that was asked for can be there; looking for one takes longer the more there are.
        was_asked_for = journal.ask_for_run()
        run = self._find(known, started.attempt, experiment_id) if was_asked_for else None
        run = run or self._create(started, experiment_id, claim)
        delivery = Delivery(self.client, run, tracking_uri=self.tracking_uri)
        if delivery.run != known:
            journal.set_mlflow_run(delivery.run)
        return delivery

    def _find(self, known: MlflowRun | None, attempt: str, experiment_id: str) -> Run | None:
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException

        if known is not None and known.tracking_uri == self.tracking_uri:
            try:
                return self.client.get_run(known.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        tagged = f"tags.`{content.ATTEMPT_TAG}` = '{attempt}'"
        found = self.client.search_runs([experiment_id], tagged, ViewType.ALL, max_results=1)
        return found[0] if found else None

    def _create(self, started: Started, experiment_id: str, claim: Claim | None) -> Run:
        tags = content.start_tags(started) | {content.STATUS_TAG: "running"}
        if claim is not None and claim.parent_run_id:
            tags[content.PARENT_TAG] = claim.parent_run_id
        return self.client.create_run(
            experiment_id, start_time=started.timestamp_ms, run_name=content.run_name(started.spec), tags=tags
        )

    def _experiment_of(self, claim: Claim | None) -> str:
        """Return the experiment that a journal goes to: that of the call which began it."""
        name = claim.experiment if claim else self.experiment
        if name not in self._experiment_ids:
            self._experiment_ids[name] = _experiment(self.client, name).experiment_id
        return self._experiment_ids[name]


def is_delivered(journal: Journal) -> bool:
    """Tell whether a trial has ended and all of it has been delivered, as far as its folder tells.

    Artifacts that were deleted since are none that wait.
    """
    sent = journal.delivered()
    return bool(sent) and all(sent.get(name) == facts for name, facts in _files(journal).items())


def leftovers(tracking_uri: str) -> Iterator[Journal]:
    """Yield the journals of trials that ended and that this store has not, or not whole."""
    for journal in Journal.all():
        claim = journal.claim()
        is_ours = claim is not None and claim.tracking_uri == tracking_uri
        if is_ours and not is_delivered(journal) and journal.record().status != "running":
            yield journal


def _marker(journal: Journal) -> Path:
    return journal.folder / DELIVERED


def _files(journal: Journal) -> dict[str, list[int]]:
    """Return what is to be delivered: names, with what changes whenever a file is written anew."""
    paths = [journal.folder / files.EVENTS, *(path for path in journal.artifacts.rglob("*") if path.is_file())]
    return {
        path.relative_to(journal.folder).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths
    }


def _experiment(client: MlflowClient, name: str) -> Experiment:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return found
    try:
        # Without this tag MLflow's pages ask first whether the experiment is about GenAI.
        client.create_experiment(name, tags={"mlflow.experimentKind": "custom_model_development"})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if found := client.get_experiment_by_name(name):
        return found
    raise TrackingError(f"the experiment {name!r} was made and is not there", hint="try again")


def _check_experiment(experiment: Experiment, uri: str) -> None:
    name, folder = experiment.name, experiment.artifact_location
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the experiment {name!r} is deleted",
            hint=f"`mlflow experiments restore -x {experiment.experiment_id}` brings it back,"
            " --experiment NAME takes another",
        )
    if experiment.experiment_id == "0":
        raise TrackingError(
            f"the experiment {name!r} is MLflow's own and may keep its files out of reach",
            hint="--experiment NAME takes another",
        )
    if sqlite_path(uri) and folder.startswith("mlflow-artifacts:"):
        raise TrackingError(
            f"the experiment {name!r} was made by a tracking server, which alone can keep files in it",
            hint="set MLFLOW_TRACKING_URI to the server's address, or take another with --experiment NAME",
        )


def other_version_hint(uri: str) -> str:
    """Return what to do about a store that another version of MLflow made."""
    shown = without_credentials(uri)
    return (
        f"`mlflow db upgrade {shown}` brings the database of an older MLflow up to date (copy it first);"
        " that of a newer one needs the newer MLflow"
        if sqlite_path(uri)
        else "`bench doctor` shows what is wrong with it"
    )


@contextmanager
def told(what: str, *, hint: str = "") -> Iterator[None]:
    """Turn whatever MLflow, its database or its server raise into one line."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        lines = without_credentials(str(error)).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise TrackingError(f"{what}: {reason}", hint=hint) from error
