"""Fetches files of runs, and adds some."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from benchbench.records import file_names
from benchbench.tracking.address import find_store
from benchbench.tracking.client import mlflow_client
from benchbench.tracking.moved_folder import current_address, follow_move, follow_run
from benchbench.tracking.reading import as_tracking_error, reading

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlflow.entities import Run

    from benchbench.tracking.reading import ReadableStore


def fetch(store: ReadableStore, run: Run, names: Collection[str], folder: Path) -> Path:
    """Return ``folder`` with those of these files in it that a run keeps at the top of its artifacts."""
    from mlflow import artifacts

    # By the run's own address: by its id, MLflow looks it up and searches its models for every file.
    root, uri = current_address(run.info.artifact_uri, store.tracking_uri), store.client.tracking_uri
    kept = {PurePosixPath(item.path).name for item in artifacts.list_artifacts(artifact_uri=root, tracking_uri=uri)}
    for name in kept.intersection(names):
        artifacts.download_artifacts(artifact_uri=f"{root}/{name}", dst_path=str(folder), tracking_uri=uri)
    return folder


def fetch_all(names: Mapping[str, Collection[str]], folder: Path) -> dict[str, Path]:
    """Return, for each run id, a folder with those of its files that were asked for and that it keeps.

    Raises :class:`~benchbench.errors.TrackingError` if the store cannot be read.
    """
    with reading() as store:
        return {
            run_id: fetch(store, store.client.get_run(run_id), wanted, folder / run_id)
            for run_id, wanted in names.items()
        }


def artifact_text(store: ReadableStore, run: Run, name: str) -> str | None:
    """Return a text among the artifacts of a run, or None if it has no such file."""
    with tempfile.TemporaryDirectory() as folder:
        path = fetch(store, run, (name,), Path(folder)) / name
        # Not as text: a line end within a quoted cell is part of it.
        return path.read_bytes().decode() if path.exists() else None


def log_report(run_id: str, report: Path) -> None:
    """Put a report among the files of a run as ``report.html``.

    Raises :class:`~benchbench.errors.TrackingError` if the store cannot be written.
    """
    uri = find_store()
    with as_tracking_error("the report cannot be kept in MLflow"), tempfile.TemporaryDirectory() as folder:
        follow_move(uri)
        client = mlflow_client(uri)
        follow_run(uri, client.get_run(run_id))
        client.log_artifact(run_id, str(shutil.copy(report, Path(folder) / file_names.REPORT)))
