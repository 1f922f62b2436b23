"""``bench`` as a user calls it, for the tests that look at what it leaves: real processes, real MLflow on SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from mlflow import MlflowClient
from support import forks
from support.shared import share_caches

from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from mlflow.entities import Run

PROGRAM = Path(sysconfig.get_path("scripts")) / "bench"
TIMEOUT_SECONDS = 300
CLOCKS = ("_seconds", "images_per_second")


@dataclass(frozen=True)
class Bench:
    """A folder in which ``bench`` is called; ``cache`` may be shared, so that only the first call fills it."""

    folder: Path
    cache: Path
    variables: dict[str, str] = field(default_factory=dict)
    program: Path = PROGRAM

    def __call__(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call it and wait for its end."""
        environment = self._environment | variables
        return call(*arguments, folder=self.folder, environment=environment, program=self.program)

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[str] | forks.ForkedCall:
        """Call it and return at once.

        To read its output while it runs, to look at its children, or to let it inherit signals: :meth:`start_anew`.
        """
        words, environment = [str(self.program), *map(str, arguments)], self._environment | variables
        if self.program == PROGRAM and forks.fits(environment):
            return forks.ForkedCall(words, folder=self.folder, environment=environment)
        return self.start_anew(*arguments, **variables)

    def start_anew(self, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        """Call it in a new process, whose workers are new processes and its children; return at once."""
        return subprocess.Popen(
            [self.program, *map(str, arguments)],
            cwd=self.folder,
            env=self._environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def _environment(self) -> dict[str, str]:
        ours = {"BENCH_CACHE": str(share_caches(self.cache)), "BENCH_STATE": str(self.folder / ".bench")}
        return os.environ | ours | self.variables

    def write(self, name: str, text: str) -> Path:
        """Write a file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def client(self) -> MlflowClient:
        """Return a client of the store in the folder, or of the server that was named."""
        return MlflowClient(self.variables.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder / 'mlflow.db'}")

    def runs(self) -> list[Run]:
        """Return all runs but the grids' own, oldest first."""
        return [run for run in self.all_runs() if "benchbench.grid" not in run.data.tags]

    def parents(self) -> list[Run]:
        """Return the runs of grids."""
        return [run for run in self.all_runs() if "benchbench.grid" in run.data.tags]

    def all_runs(self) -> list[Run]:
        """Return all runs, oldest first; none where no store was made."""
        if not self.variables.get("MLFLOW_TRACKING_URI") and not (self.folder / "mlflow.db").exists():
            return []
        experiment = self.client.get_experiment_by_name("bench")
        oldest_first = ["attributes.start_time ASC"]
        return list(self.client.search_runs([experiment.experiment_id], order_by=oldest_first)) if experiment else []

    def points(self, run: Run) -> list[tuple[str, int, float]]:
        """Return key, step and value of all that was ever logged, but for clocks and the system, in their order."""
        keys = [
            key for key in run.data.metrics if not key.endswith(CLOCKS) and not key.startswith(("system/", "time/"))
        ]
        history = [point for key in keys for point in self.client.get_metric_history(run.info.run_id, key)]
        return sorted((point.key, point.step, point.value) for point in history)

    def artifacts(self, run: Run) -> set[str]:
        """Return the names of all files of a run, but for its model's."""
        folder = Path(str(run.info.artifact_uri).removeprefix("file://"))
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def journals(self) -> list[Journal]:
        """Return the attempts that were begun."""
        return [Journal(path.parent) for path in sorted(self.folder.glob(".bench/trials/*/*/events.jsonl"))]


def call(
    *arguments: object, folder: Path, environment: dict[str, str], program: Path = PROGRAM
) -> subprocess.CompletedProcess[str]:
    """Call ``bench`` in a folder and wait for its end: in a fork, which starts faster, if it makes no difference."""
    words = [str(program), *map(str, arguments)]
    if program == PROGRAM and forks.fits(environment):
        return forks.call(words, folder=folder, environment=environment, timeout_seconds=TIMEOUT_SECONDS)
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the worker processes of a call."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "benchbench.worker.main" in child.cmdline()]
    except psutil.NoSuchProcess:
        return []


def trials(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """Return what ``bench grid --json`` says of its trials."""
    assert done.stdout, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)["trials"]
    return found
