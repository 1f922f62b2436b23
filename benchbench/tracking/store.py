"""The store, and the delivery of a journal to it, which may be repeated after any doubt.

MLflow drops a metric that equals an existing one in key, value, timestamp and step, accepts params that are sent
again unchanged, and overwrites artifacts. It would create runs and models twice, so before creating one, we search
for our attempt.
"""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from filelock import FileLock

from benchbench.config.defaults import default_experiment
from benchbench.errors import counted
from benchbench.paths import is_partial
from benchbench.records import file_names
from benchbench.records.events import Started
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.records.record import Record
from benchbench.records.redaction import without_credentials
from benchbench.records.sqlite_addresses import sqlite_path
from benchbench.tracking import grid_runs, run_data
from benchbench.tracking.address import find_store
from benchbench.tracking.client import create_once, make_database, mlflow_client
from benchbench.tracking.delivery import Delivery
from benchbench.tracking.experiments import check_experiment, open_experiment, same_experiment
from benchbench.tracking.moved_folder import follow_move, follow_run
from benchbench.tracking.reading import as_tracking_error, other_version_hint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from benchbench.config.design import Design
    from benchbench.records.claim import Claim
    from benchbench.records.events import Event
    from benchbench.records.journal import Delivered
    from benchbench.records.known_runs import KnownRuns
    from benchbench.records.record import MlflowRun

LOCK_SECONDS = 60
_BLOCK_BYTES = 1 << 20


class Store:
    """MLflow's store with one experiment open. Used by one thread at a time.

    ``note`` says what a user should know about how it was opened; mostly nothing.
    """

    def __init__(self, client: MlflowClient, *, tracking_uri: str, experiment: Experiment, note: str = "") -> None:
        self.client = client
        self.note = note
        self.tracking_uri = tracking_uri
        self.experiment: str = experiment.name
        self.experiment_id: str = experiment.experiment_id
        self._experiment_ids = {self.experiment: self.experiment_id}
        self._deliveries: dict[str, Delivery] = {}

    @classmethod
    def open(cls, tracking_uri: str | None = None, experiment: str | None = None) -> Store:
        """Return the store, its experiment made if it was not there.

        Without a URI it is that of ``MLFLOW_TRACKING_URI``, else MLflow's default. Raises
        :class:`~benchbench.errors.TrackingError` if runs cannot be written to it.
        """
        uri = find_store(tracking_uri)
        shown = without_credentials(uri)
        with as_tracking_error(f"cannot use the tracking store {shown}", hint=other_version_hint(uri)):
            make_database(uri)
            client = mlflow_client(uri)
            notes = (follow_move(uri), _waiting_for_others(shown))
            opened = open_experiment(client, uri, experiment or default_experiment())
        return cls(client, tracking_uri=shown, experiment=opened, note="; ".join(filter(None, notes)))

    def deliver(self, journal: Journal) -> MlflowRun:
        """Send all of a journal that this object has not sent yet, and return the run.

        Sends from the start if this object does not know the journal: nothing arrives twice. A run that was deleted
        in MLflow stays deleted, and the journal says so. Raises :class:`~benchbench.errors.TrackingError` if not all
        could be sent.
        """
        lock = FileLock(journal.folder / file_names.DELIVERY_LOCK, timeout=LOCK_SECONDS)
        with as_tracking_error(f"cannot write to the tracking store {self.tracking_uri}"), lock:
            sent = _files(journal)
            events = list(journal.events())
            record = Record.of(events)
            if (known := journal.mlflow_run()) and journal.is_deleted() and self._was_purged(known, record.started_ms):
                return known
            # Forgotten while it is used: after an error we send everything again.
            delivery = self._deliveries.pop(journal.attempt, None) or self._begin_delivery(journal, events[0])
            if not self._send(delivery, events, record, journal):
                journal.set_deleted()
            elif record.status == "running":
                self._deliveries[journal.attempt] = delivery
            else:
                journal.set_delivered(sent)
            return delivery.run

    def _send(self, delivery: Delivery, events: list[Event], record: Record, journal: Journal) -> bool:
        """Send what is new; return False if the run is deleted, which may happen meanwhile."""
        try:
            return delivery.send(events, record, journal.artifacts)
        except Exception:  # MLflow raises many kinds for what it cannot write to
            if self._is_deleted(delivery.run):
                return False
            raise

    def _is_deleted(self, run: MlflowRun) -> bool:
        with suppress(Exception):  # the first error says more
            return bool(self.client.get_run(run.run_id).info.lifecycle_stage == "deleted")
        return False

    def _is_gone(self, run_id: str) -> bool:
        """Tell whether a run was deleted, for good or not."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "deleted")
        except MlflowException as error:
            return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")

    def find_known_runs(self, spec_ids: Collection[str]) -> KnownRuns:
        """Return the finished runs of these specs, and all attempts whose runs were deleted, for good or not."""
        with as_tracking_error(f"cannot read the tracking store {self.tracking_uri}"):
            known = grid_runs.find_known_runs(self.client, self.experiment_id, spec_ids)
            purged = self._purged(set(spec_ids) - {spec_id for spec_id, _ in known.finished})
            return replace(known, deleted_attempts=frozenset(known.deleted_attempts) | purged)

    def _purged(self, spec_ids: Collection[str]) -> frozenset[str]:
        """Return the attempts that can be resumed, or wait to be delivered, but whose runs were deleted for good."""
        journals = (journal for spec_id in spec_ids for journal in Journal.attempts(spec_id))
        return frozenset(
            journal.attempt
            for journal in journals
            if (run := journal.mlflow_run())
            and (journal.is_deleted() or journal.is_interrupted())
            and (record := journal.try_record())
            and self._was_purged(run, record.started_ms)
        )

    def _was_purged(self, run: MlflowRun, started_ms: int) -> bool:
        """Tell whether a run that was made then was deleted for good: its experiment is there, and not a newer one."""
        from mlflow.exceptions import MlflowException

        if run.tracking_uri != self.tracking_uri or not self._is_gone(run.run_id):
            return False
        try:
            created_ms = self.client.get_experiment(run.experiment_id).creation_time
        except MlflowException:  # the store was made anew
            return False
        return created_ms is not None and created_ms <= started_ms

    def open_parent(self, name: str, *, file: Path, headline: str, design: Design | None = None) -> str:
        """Return the id of the run of a grid, running: it is made, or opened again if there is one."""
        with as_tracking_error(f"cannot write to the tracking store {self.tracking_uri}"):
            run_id = grid_runs.open_parent(self.client, self.experiment_id, name, file=file, headline=headline)
            grid_runs.remember_design(self.client, run_id, design)
            return run_id

    def find_parent(self, name: str, *, file: Path) -> tuple[str, bool] | None:
        """Return the id of the run of a grid, and whether it keeps a report; None if there is no such run."""
        with as_tracking_error(f"cannot read the tracking store {self.tracking_uri}"):
            run_id = grid_runs.find_parent([], self.experiment_id, name=name, file=file)
            if run_id is None:
                return None
            return run_id, any(item.path == file_names.REPORT for item in self.client.list_artifacts(run_id))

    def earlier_designs(self, run_id: str) -> tuple[Design, ...]:
        """Return how a grid added seeds before its file was changed, by the id of its run."""
        with as_tracking_error(f"cannot read the tracking store {self.tracking_uri}"):
            return grid_runs.designs_of(self.client.get_run(run_id)).earlier

    def close_parents(self) -> None:
        """End the runs of grids whose :class:`GridEnd` is kept, and describe them, but for those that were deleted."""
        with as_tracking_error(f"cannot write to the tracking store {self.tracking_uri}"):
            for end in GridEnd.all():
                if end.tracking_uri != self.tracking_uri:
                    continue
                try:
                    follow_run(self.tracking_uri, self.client.get_run(end.run_id))
                    grid_runs.close_parent(self.client, end)
                except Exception:  # MLflow raises many kinds for what it cannot write to
                    if not self._is_gone(end.run_id):
                        raise
                end.drop()

    def _begin_delivery(self, journal: Journal, started: Event) -> Delivery:
        assert isinstance(started, Started)  # noqa: S101 - Record.of has seen to it
        known, claim = journal.mlflow_run(), journal.claim()
        experiment_id = self._experiment_of(claim)
        # Only a run that was asked for can be there; looking for one takes longer the more there are.
        was_asked_for = journal.ask_for_run()
        run = self._find(known, started.attempt, experiment_id) if was_asked_for else None
        if run is not None:
            follow_run(self.tracking_uri, run)
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
        tagged = f"tags.`{run_data.ATTEMPT_TAG}` = '{attempt}'"
        runs = self.client.search_runs([experiment_id], tagged, ViewType.ALL, max_results=1)
        return runs[0] if runs else None

    def _create(self, started: Started, experiment_id: str, claim: Claim | None) -> Run:
        tags = run_data.start_tags(started) | {run_data.STATUS_TAG: "running"}
        if claim is not None and claim.parent_run_id:
            tags[run_data.PARENT_TAG] = claim.parent_run_id
        name = run_data.run_name(started.spec, claim.varied if claim else "")
        return create_once(
            lambda: self.client.create_run(experiment_id, start_time=started.timestamp_ms, run_name=name, tags=tags),
            lambda: self._find(None, started.attempt, experiment_id),
        )

    def _experiment_of(self, claim: Claim | None) -> str:
        """Return the experiment that a journal goes to: that of the call which began it."""
        name = claim.experiment if claim else self.experiment
        if name not in self._experiment_ids:
            self._experiment_ids[name] = same_experiment(self.client, self.tracking_uri, name).experiment_id
        return self._experiment_ids[name]


def is_delivered(journal: Journal) -> bool:
    """Tell whether a trial has ended and all of it has been delivered, as far as its folder tells.

    Artifacts that were deleted since do not count as waiting.
    """
    sent = journal.delivered()
    return bool(sent) and all(sent.get(name) == facts for name, facts in _files(journal).items())


def leftovers(tracking_uri: str) -> Iterator[Journal]:
    """Yield the journals of trials that have ended and that this store does not have, or not whole."""
    for journal in Journal.all():
        if not journal.goes_to(tracking_uri) or is_delivered(journal):
            continue
        if _has_ended(journal):
            yield journal


def _waiting_for_others(tracking_uri: str) -> str:
    """Return which trials have ended and wait for another store than this one; mostly nothing."""
    stores = Counter(
        claim.tracking_uri
        for journal in Journal.all()
        if not journal.is_marked_delivered()  # mostly so, and told without reading
        and (claim := journal.claim())
        and claim.tracking_uri != tracking_uri
        and _has_ended(journal)
        and not (journal.is_deleted() or journal.is_in_use())
    )
    return "; ".join(
        f"{counted(number, 'trial waits', 'trials wait')} for the tracking store {store}:"
        f" with MLFLOW_TRACKING_URI={store}, `bench runs list` sends them"
        for store, number in stores.items()
    )


def _has_ended(journal: Journal) -> bool:
    record = journal.try_record()
    return record is not None and record.status != "running"


def _files(journal: Journal) -> Delivered:
    """Return what is to be delivered: names, with size and checksum, which a copy of the folder has as well."""
    kept = (path for path in journal.artifacts.rglob("*") if path.is_file() and not is_partial(path))
    paths = [journal.folder / file_names.EVENTS, *kept]
    return {path.relative_to(journal.folder).as_posix(): [path.stat().st_size, _checksum(path)] for path in paths}


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            value = zlib.crc32(block, value)
    return value


def check_store() -> str:
    """Return the address of the store; raises :class:`~benchbench.errors.TrackingError` if it cannot be used.

    Creates neither a database nor an experiment.
    """
    uri = find_store()
    shown, database = without_credentials(uri), sqlite_path(uri)
    if database is not None and not database.exists():
        return shown
    with as_tracking_error(f"cannot use the tracking store {shown}", hint=other_version_hint(uri)):
        client = mlflow_client(uri)
        experiment = client.get_experiment_by_name(default_experiment())
        if experiment is not None:
            check_experiment(client, uri, experiment)
    return shown


def follow_moved_files() -> str:
    """Put the addresses of files right that moved with the store's database; return what was done, or ``""``.

    Raises :class:`~benchbench.errors.TrackingError` if the database cannot be written.
    """
    uri = find_store()
    with as_tracking_error(f"cannot put new addresses into {without_credentials(uri)}", hint=other_version_hint(uri)):
        return follow_move(uri)
