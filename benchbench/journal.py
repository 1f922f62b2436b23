"""What is kept on disk of a trial: its events, as they came, and the artifacts that wait to be delivered.

::

    .bench/trials/<spec id, 16 digits>/<attempt>/
        events.jsonl     one event a line, durable before anyone hears of it
        mlflow.json      the run it is written to, once that exists
        artifacts/       files for MLflow, as they will lie there
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from benchbench.record import Event, MlflowRun, Record, event_from_json, event_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator


def state_folder() -> Path:
    """Return the folder of our state: ``BENCH_STATE``, or ``.bench`` in the working folder."""
    return Path(os.environ.get("BENCH_STATE") or ".bench")


@dataclass(frozen=True)
class Journal:
    """The folder of one attempt at one trial."""

    folder: Path

    @staticmethod
    def of(spec_id: str, attempt: str) -> Journal:
        """Return the journal of an attempt, which need not exist yet."""
        return Journal(state_folder() / "trials" / spec_id[:16] / attempt)

    @property
    def artifacts(self) -> Path:
        """Return the folder whose contents become the run's artifacts."""
        return self.folder / "artifacts"

    def exists(self) -> bool:
        """Tell whether the trial was started."""
        return (self.folder / "events.jsonl").exists()

    def append(self, event: Event) -> None:
        """Add an event; when this returns, it is on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(event_to_json(event) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def events(self) -> Iterator[Event]:
        """Yield the events so far; a last line that was cut off by a crash is not one."""
        path = self.folder / "events.jsonl"
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield event_from_json(line)

    def record(self) -> Record:
        """Return the record so far, with the MLflow run where there is one."""
        return replace(Record.of(self.events()), mlflow=self.mlflow_run())

    def mlflow_run(self) -> MlflowRun | None:
        """Return the MLflow run that this attempt is written to, if one was made."""
        path = self.folder / "mlflow.json"
        return TypeAdapter(MlflowRun).validate_json(path.read_bytes()) if path.exists() else None

    def set_mlflow_run(self, run: MlflowRun) -> None:
        """Remember the MLflow run, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "mlflow.json.partial"
        partial.write_bytes(TypeAdapter(MlflowRun).dump_json(run))
        partial.replace(self.folder / "mlflow.json")
