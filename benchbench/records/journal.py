"""What is kept on disk of a trial: its events, as they came, and the artifacts that wait to be delivered.

::

    .bench/trials/<spec id, 16 digits>/
        lock                 held by the process that trains
        <attempt>/
            claim.json       which call runs it, and where its results go
            events.jsonl     one event per line, on disk before it is shown or sent
            checkpoint.pt    where it can be resumed
            mlflow.asked     there once a run is about to be made
            mlflow.json      the run it is written to, once that exists
            mlflow.deleted   there if someone deleted that run
            artifacts/       files for MLflow, as they will lie there
            delivery.lock    held by the process that sends it to MLflow
            delivered        there once a trial has ended and MLflow has all of it
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from benchbench.errors import CheckpointError, TrialError, WorkerDiedError
from benchbench.paths import write_atomically
from benchbench.records import file_names, sqlite_addresses
from benchbench.records.artifact_files import certain_at, kept_at
from benchbench.records.claim import Claim
from benchbench.records.events import Event, event_from_json, event_to_json
from benchbench.records.record import MlflowRun, Record
from benchbench.records.run_ids import short_id
from benchbench.records.state import GOES_ON, pass_over, read_state, state_folder, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.records.calls import Call

ID_DIGITS = 16
NO_FAULT = (WorkerDiedError.__name__, CheckpointError.__name__)
"""The kinds of errors that are not the trial's own: it goes on when it is tried again."""

_UNREADABLE = "damaged, or another version of benchbench wrote it"
Delivered = dict[str, list[int]]
"""Files by their names in the folder, with their size and checksum."""


@dataclass(frozen=True)
class Journal:
    """The folder of one attempt at one trial."""

    folder: Path

    @staticmethod
    def of(spec_id: str, attempt: str) -> Journal:
        """Return the journal of an attempt, which need not exist yet."""
        return Journal(state_folder() / "trials" / spec_id[:ID_DIGITS] / attempt)

    @staticmethod
    def attempts(spec_id: str) -> list[Journal]:
        """Return the journals of the attempts at a spec that were started, oldest first."""
        folder = state_folder() / "trials" / spec_id[:ID_DIGITS]
        return [Journal(path.parent) for path in sorted(folder.glob(f"*/{file_names.EVENTS}"))]

    @staticmethod
    def all() -> Iterator[Journal]:
        """Yield the journals of all trials that were started, oldest attempt first within a trial.

        One that another version of benchbench wrote, or whose beginning is damaged, is passed over with a warning.
        """
        for path in sorted((state_folder() / "trials").glob(f"*/*/{file_names.EVENTS}")):
            journal = Journal(path.parent)
            try:
                if next(journal.events(), None) is not None:
                    yield journal
            except ValidationError:
                pass_over(path, _UNREADABLE)

    @property
    def attempt(self) -> str:
        """Return the id of the attempt."""
        return self.folder.name

    @property
    def artifacts(self) -> Path:
        """Return the folder whose contents become the run's artifacts."""
        return self.folder / "artifacts"

    def exists(self) -> bool:
        """Tell whether the trial was started."""
        return (self.folder / file_names.EVENTS).exists()

    def claim(self) -> Claim | None:
        """Return whose attempt it is, or None if nobody knows."""
        claim = read_state(self.folder / file_names.CLAIM, Claim)
        return claim and claim.from_state()

    def set_claim(self, claim: Claim) -> None:
        """Say whose attempt it is."""
        write_state(self.folder / file_names.CLAIM, claim.to_state())

    def close_claim(self, call: Call | None = None) -> None:
        """Say that the call which ran it came to its end; if a ``call`` is given, only if it was that one."""
        claim = self.claim()
        if claim is not None and claim.is_open and call in (None, claim.call):
            self.set_claim(replace(claim, is_open=False))

    def goes_to(self, tracking_uri: str, experiment_id: str = "") -> bool:
        """Tell whether its results go to this store in MLflow and, if one is given, to this experiment."""
        claim = self.claim()
        return claim is not None and claim.tracking_uri == tracking_uri and experiment_id in ("", claim.experiment_id)

    def is_of(self, destination: tuple[str, str], *, data_digest: str) -> bool:
        """Tell whether it is an attempt with these images, whose results go to this store and experiment."""
        record = self.try_record() if self.goes_to(*destination) else None
        return record is not None and record.data_digest == data_digest

    def is_cut_off(self) -> bool:
        """Tell whether the call that ran it was killed before its end, however far the trial itself was."""
        claim = self.claim()
        return claim is not None and claim.is_open and not claim.is_alive()

    def is_in_use(self) -> bool:
        """Tell whether the call that ran it has yet to come to its end, and still runs."""
        claim = self.claim()
        return claim is not None and claim.is_open and claim.is_alive()

    def mlflow_run(self) -> MlflowRun | None:
        """Return the MLflow run that this attempt is written to, if one was made."""
        run = read_state(self.folder / file_names.MLFLOW_RUN, MlflowRun)
        return run and replace(run, tracking_uri=sqlite_addresses.from_state(run.tracking_uri))

    def shown_id(self) -> str:
        """Return the beginning of the id by which a user finds the trial: of its run or, without one, of its spec."""
        run = None if self.is_deleted() else self.mlflow_run()
        return short_id(run.run_id if run else self.record().spec_id)

    def ask_for_run(self) -> bool:
        """Remember that a run is about to be made. Return whether that was noted before: the run may exist then."""
        path = self.folder / file_names.MLFLOW_ASKED
        was_asked_for = path.exists() or (self.folder / file_names.MLFLOW_RUN).exists()
        path.touch()
        return was_asked_for

    def set_mlflow_run(self, run: MlflowRun) -> None:
        """Remember the MLflow run."""
        write_state(
            self.folder / file_names.MLFLOW_RUN, replace(run, tracking_uri=sqlite_addresses.to_state(run.tracking_uri))
        )

    def append(self, event: Event) -> None:
        """Add an event; when this returns, it is on disk."""
        path = self.folder / file_names.EVENTS
        line = event_to_json(event).encode() + b"\n"
        try:
            if not path.exists():
                # Whole or not at all: a journal without any event is none.
                write_atomically(path, line)
                return
            (self.folder / file_names.DELIVERED).unlink(missing_ok=True)
            _drop_half_a_line(path)
            with path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrialError(f"the journal {path} cannot be written: {error.strerror}", hint=GOES_ON) from error

    def events(self) -> Iterator[Event]:
        """Yield the events so far; a last line that was cut off by a crash is not one."""
        path = self.folder / file_names.EVENTS
        if not path.exists():
            return
        # Not str.splitlines: it also splits at characters that JSON may have within a line, such as U+2028.
        *lines, _ = path.read_bytes().split(b"\n")
        yield from map(event_from_json, lines)

    def record(self) -> Record:
        """Return the record so far, with the MLflow run if there is one and nobody deleted it."""
        return replace(Record.of(self.events()), mlflow=None if self.is_deleted() else self.mlflow_run())

    def try_record(self) -> Record | None:
        """Return the record so far, or None if the journal is damaged; a warning names that one."""
        try:
            return self.record()
        except ValueError:
            pass_over(self.folder / file_names.EVENTS, _UNREADABLE)
            return None

    def is_interrupted(self) -> bool:
        """Tell whether the trial ended before its end through no fault of its own, and can be resumed."""
        record = self.try_record()
        if record is None:
            return False
        if record.status == "running":
            claim = self.claim()
            return claim is None or not claim.is_alive()
        return record.status == "killed" or (record.error is not None and record.error.kind in NO_FAULT)

    def drop_artifacts(self) -> None:
        """Delete what was only kept for its delivery."""
        shutil.rmtree(self.artifacts, ignore_errors=True)

    def has_checkpoint(self) -> bool:
        """Tell whether the last checkpoint is still there."""
        return (self.folder / file_names.CHECKPOINT).exists()

    def keeps_record(self, level: ArtifactLevel) -> bool:
        """Tell whether the record is among the artifacts at this level; one of an earlier end stays at any."""
        return file_names.RECORD in kept_at(level) or (self.artifacts / file_names.RECORD).exists()

    def has_kept(self, level: ArtifactLevel) -> bool:
        """Tell whether the files of this level were made, even if they were sent and deleted here since."""
        paths = [self.artifacts / name for name in certain_at(level)]
        delivered = self.delivered()
        return all(path.exists() or path.relative_to(self.folder).as_posix() in delivered for path in paths)

    def delivered(self) -> Delivered:
        """Return the files that MLflow had when it had all of an ended trial."""
        return read_state(self.folder / file_names.DELIVERED, Delivered) or {}

    def set_delivered(self, sent: Delivered) -> None:
        """Remember that MLflow has all of an ended trial."""
        write_state(self.folder / file_names.DELIVERED, sent)
        (self.folder / file_names.MLFLOW_DELETED).unlink(missing_ok=True)

    def is_marked_delivered(self) -> bool:
        """Tell whether MLflow once had all of the trial, which has ended."""
        return (self.folder / file_names.DELIVERED).exists()

    def set_deleted(self) -> None:
        """Remember that someone deleted the run in MLflow before it had all."""
        (self.folder / file_names.MLFLOW_DELETED).touch()

    def is_deleted(self) -> bool:
        """Tell whether someone deleted the run in MLflow before it had all."""
        return (self.folder / file_names.MLFLOW_DELETED).exists()

    def drop_checkpoint(self) -> None:
        """Delete the last checkpoint."""
        (self.folder / file_names.CHECKPOINT).unlink(missing_ok=True)


def _drop_half_a_line(path: Path) -> None:
    text = path.read_bytes()
    if not text.endswith(b"\n"):
        os.truncate(path, text.rfind(b"\n") + 1)
