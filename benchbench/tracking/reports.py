"""What a report needs of MLflow: the files of its trials, and the grid's own run, which keeps it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.records import files
from benchbench.tracking import content, grids
from benchbench.tracking.files import fetch
from benchbench.tracking.records import reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


def fetch_all(names: Mapping[str, Collection[str]], folder: Path) -> dict[str, Path]:
    """Return, for each run id, a folder with those of its files that were asked for and that it keeps.

    Raises :class:`~benchbench.errors.TrackingError` where the store cannot be read.
    """
    with reading(None) as client:
        return {
            run_id: fetch(client, client.get_run(run_id), wanted, folder / run_id) for run_id, wanted in names.items()
        }


def find_parent(run_ids: Iterable[str], experiment_id: str, *, name: str = "") -> str | None:
    """Return the id of the run of a grid: the one of that name, or the one that all these runs stand below.

    Runs below none are passed over. None where there is no such run, or where it was deleted.
    """
    with reading(None) as client:
        if name:
            return grids.find_parent(client, experiment_id, name)
        tags = [client.get_run(run_id).data.tags for run_id in run_ids]
        parents = {tag[content.PARENT_TAG] for tag in tags if content.PARENT_TAG in tag}
        if len(parents) != 1:
            return None
        parent = client.get_run(parents.pop())
        return parent.info.run_id if parent.info.lifecycle_stage == "active" else None


def log_report(run_id: str, report: Path, figures: Path | None = None) -> None:
    """Put a report among the files of a run as ``report.html``, and the figures beside it in ``figures``."""
    with reading(None) as client, tempfile.TemporaryDirectory() as folder:
        client.log_artifact(run_id, str(shutil.copy(report, Path(folder) / files.REPORT)))
        if figures is not None:
            client.log_artifacts(run_id, str(figures), files.FIGURES_FOLDER)
