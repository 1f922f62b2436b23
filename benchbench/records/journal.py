"""What is kept on disk of a trial: its events, as they came, and the artifacts that wait to be delivered.

::

    .bench/trials/<spec id, 16 digits>/
        lock                 held by the process that trains
        <attempt>/
            claim.json       who runs it, and where its results go
            events.jsonl     one event a line, durable before anyone hears of it
            checkpoint.pt    where it can be resumed
            mlflow.asked     there once a run is about to be made
            mlflow.json      the run it is written to, once that exists
            artifacts/       files for MLflow, as they will lie there
            delivered        there once a trial has ended and MLflow has all of it
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from benchbench.errors import TrialError
from benchbench.records import files
from benchbench.records.adapter import adapter
from benchbench.records.events import Error, Event, Failed, event_from_json, event_to_json
from benchbench.records.record import MlflowRun, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)
T = TypeVar("T")
ID_DIGITS = 16
WORKER_DIED = "WorkerDiedError"
NO_FAULT = (WORKER_DIED, "CheckpointError")
"""The kinds of errors that are not the trial's own: it goes on when it is tried again."""

GOES_ON = "make room and give the same command again: it goes on from the last good checkpoint"
DELIVERED = "delivered"


def state_folder() -> Path:
    """Return the folder of our state: ``BENCH_STATE``, or ``.bench`` in the working folder."""
    return Path(os.environ.get("BENCH_STATE") or ".bench")


@dataclass(frozen=True)
class Claim:
    """Whose an attempt is: the driver that runs it, and the place in MLflow that its results go to."""

    tracking_uri: str
    experiment: str
    hostname: str
    pid: int
    process_started: float
    parent_run_id: str | None = None
    is_open: bool = False
    """Whether the driver has yet to tell how the trial ended, and to add its part to the artifacts."""

    @staticmethod
    def of_this_process(*, tracking_uri: str, experiment: str, parent_run_id: str | None = None) -> Claim:
        """Return the claim of the process that asks."""
        import psutil

        started = psutil.Process().create_time()
        return Claim(tracking_uri, experiment, socket.gethostname(), os.getpid(), started, parent_run_id, is_open=True)

    def is_alive(self) -> bool:
        """Tell whether the driver still runs; one on another host is taken to, since nobody here can know."""
        import psutil

        if self.hostname != socket.gethostname():
            return True
        try:
            # Process numbers are used again; start times are not, to a hundredth of a second.
            return abs(psutil.Process(self.pid).create_time() - self.process_started) < 1
        except psutil.NoSuchProcess:
            return False


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
        return [Journal(path.parent) for path in sorted(folder.glob("*/events.jsonl"))]

    @staticmethod
    def all() -> Iterator[Journal]:
        """Yield the journals of all trials that were started, oldest attempt first within a trial.

        One that another version wrote is passed over with a warning.
        """
        for path in sorted((state_folder() / "trials").glob("*/*/events.jsonl")):
            journal = Journal(path.parent)
            try:
                if next(journal.events(), None) is not None:
                    yield journal
            except ValidationError:
                _log.warning("passed over, since another version of benchbench wrote it: %s", path)

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
        return (self.folder / files.EVENTS).exists()

    def claim(self) -> Claim | None:
        """Return whose attempt it is."""
        return self._read("claim.json", Claim)

    def set_claim(self, claim: Claim) -> None:
        """Say whose attempt it is."""
        self._write("claim.json", claim)

    def close_claim(self) -> None:
        """Say that the call which ran it came to its end."""
        claim = self.claim()
        if claim is not None and claim.is_open:
            self.set_claim(replace(claim, is_open=False))

    def is_cut_off(self) -> bool:
        """Tell whether the call that ran it was killed before its end, however far the trial itself was."""
        claim = self.claim()
        return claim is not None and claim.is_open and not claim.is_alive()

    def mlflow_run(self) -> MlflowRun | None:
        """Return the MLflow run that this attempt is written to, if one was made."""
        return self._read("mlflow.json", MlflowRun)

    def ask_for_run(self) -> bool:
        """Remember that a run is about to be made, and return whether it had been before, so that it may be there."""
        path = self.folder / "mlflow.asked"
        was_asked_for = path.exists() or (self.folder / "mlflow.json").exists()
        path.touch()
        return was_asked_for

    def set_mlflow_run(self, run: MlflowRun) -> None:
        """Remember the MLflow run."""
        self._write("mlflow.json", run)

    def append(self, event: Event) -> None:
        """Add an event; when this returns, it is on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / files.EVENTS
        # The first event makes the file, whole: one without any is no journal.
        place = path if path.exists() else path.with_suffix(".partial")
        if place is path:
            self._drop_half_a_line(path)
            (self.folder / DELIVERED).unlink(missing_ok=True)
        try:
            with place.open("a" if place is path else "w", encoding="utf-8") as file:
                file.write(event_to_json(event) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrialError(f"the journal {path} cannot be written: {error.strerror}", hint=GOES_ON) from error
        place.replace(path)

    def events(self) -> Iterator[Event]:
        """Yield the events so far; a last line that was cut off by a crash is not one."""
        path = self.folder / files.EVENTS
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield event_from_json(line)

    def record(self) -> Record:
        """Return the record so far, with the MLflow run where there is one."""
        return replace(Record.of(self.events()), mlflow=self.mlflow_run())

    def is_interrupted(self) -> bool:
        """Tell whether the trial ended before its end through no fault of its own, and can be resumed."""
        record = self.record()
        if record.status == "running":
            claim = self.claim()
            return claim is None or not claim.is_alive()
        return record.status == "killed" or (record.error is not None and record.error.kind in NO_FAULT)

    def drop_artifacts(self) -> None:
        """Delete what was only kept for its delivery."""
        shutil.rmtree(self.artifacts, ignore_errors=True)

    def has_checkpoint(self) -> bool:
        """Tell whether the last checkpoint is still there."""
        return (self.folder / files.CHECKPOINT).exists()

    def has_samples(self) -> bool:
        """Tell whether images were kept for the figures; they stay so when they were sent and deleted here."""
        return (self.artifacts / files.SAMPLES).exists() or "artifacts/samples.npz" in self.delivered()

    def delivered(self) -> dict[str, list[int]]:
        """Return the files that MLflow had when it had all of an ended trial, with what tells their versions apart."""
        path = self.folder / DELIVERED
        found: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def drop_checkpoint(self) -> None:
        """Delete the last checkpoint."""
        (self.folder / files.CHECKPOINT).unlink(missing_ok=True)

    def _drop_half_a_line(self, path: Path) -> None:
        if not path.exists():
            return
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            os.truncate(path, text.rfind(b"\n") + 1)

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.folder / name
        return adapter(kind).validate_json(path.read_bytes()) if path.exists() else None

    def _write(self, name: str, value: object) -> None:
        """Replace a file whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{name}.partial"
        partial.write_bytes(adapter(type(value)).dump_json(value))
        partial.replace(self.folder / name)


@dataclass(frozen=True)
class GridEnd:
    """How a grid ended, kept on disk until its own run in MLflow has been told.

    ``note`` describes it in Markdown; ``files`` are texts by the names that they get among its run's artifacts.
    """

    tracking_uri: str
    run_id: str
    status: str
    note: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def keep(self) -> None:
        """Write it down."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(adapter(GridEnd).dump_json(self))

    def drop(self) -> None:
        """Delete it: MLflow knows, or it is not true any more."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def all() -> list[GridEnd]:
        """Return those that MLflow has not been told of."""
        paths = sorted((state_folder() / "grids").glob("*.end.json"))
        return [adapter(GridEnd).validate_json(path.read_bytes()) for path in paths]

    @property
    def _path(self) -> Path:
        return state_folder() / "grids" / f"{self.run_id}.end.json"


def mark_dead() -> list[Journal]:
    """Find trials whose process ended without a word, end them as killed, and return them.

    Those of another host are left alone: nobody here can know.
    """
    dead = []
    for journal in Journal.all():
        if (journal.folder / DELIVERED).exists() or journal.record().status != "running":
            continue
        claim = journal.claim()
        if claim is not None and not claim.is_alive():
            error = Error(kind="DriverDiedError", message="the process that ran it ended without a word")
            journal.append(Failed(status="killed", error=error))
            dead.append(journal)
    return dead
