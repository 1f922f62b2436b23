"""The trials of a report, each with the files that its run keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.records.artifact_files import read_by_report
from benchbench.records.record import best
from benchbench.tracking.run_files import fetch_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.records.record import Record


@dataclass(frozen=True)
class TrialFiles:
    """A trial's record, and the folder with the files that its run keeps.

    The files are those of :mod:`benchbench.records.artifact_files`. Any of them may be missing from ``artifacts``:
    trials that did not finish keep none, and ``--artifacts light`` keeps no images.
    """

    record: Record
    artifacts: Path


def gather(records: Sequence[Record], folder: Path, *, more: Sequence[str] = ()) -> list[TrialFiles]:
    """Fetch the files that a report reads into ``folder``, images of the best trial only, and return the trials.

    ``more`` are names of files that are fetched of every trial as well. Raises
    :class:`~benchbench.errors.TrackingError` if the store cannot be read.
    """
    run_ids = {record.attempt: record.mlflow.run_id for record in records if record.mlflow}
    top = best(records)
    names = {
        run_id: (*read_by_report(is_best=top is not None and attempt == top.attempt), *more)
        for attempt, run_id in run_ids.items()
    }
    folders = fetch_all(names, folder)
    return [TrialFiles(record, folders.get(run_ids.get(record.attempt, ""), folder / "none")) for record in records]
