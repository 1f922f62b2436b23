"""Files of runs, fetched."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run


def fetch(client: MlflowClient, run: Run, names: Collection[str], folder: Path) -> Path:
    """Return ``folder`` with those of these files in it that a run keeps at the top of its artifacts."""
    from mlflow import artifacts

    # By the run's own address: by its id, MLflow looks it up and searches its models for every file.
    root, uri = run.info.artifact_uri, client.tracking_uri
    kept = {PurePosixPath(item.path).name for item in artifacts.list_artifacts(artifact_uri=root, tracking_uri=uri)}
    for name in kept.intersection(names):
        artifacts.download_artifacts(artifact_uri=f"{root}/{name}", dst_path=str(folder), tracking_uri=uri)
    return folder
