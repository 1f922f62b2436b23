"""What a report is made of, fetched from MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.records import files
from benchbench.report.material import Trial, val_accuracy
from benchbench.tracking.artifacts import fetch_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benchbench.records.record import Record

FILES = (files.PER_CLASS, files.CONFUSION_MATRIX, files.PREDICTIONS, files.LAYERS, files.SPEC, files.ENVIRONMENT)


def gather(records: Sequence[Record], folder: Path) -> list[Trial]:
    """Return the trials with the files that their runs keep, fetched into ``folder``; images of the best alone.

    Raises :class:`~benchbench.errors.TrackingError` where the store cannot be read.
    """
    run_ids = {record.attempt: record.mlflow.run_id for record in records if record.mlflow}
    found = best(records)
    names: dict[str, tuple[str, ...]] = dict.fromkeys(run_ids.values(), FILES)
    if found is not None and found.attempt in run_ids:
        names[run_ids[found.attempt]] = (*FILES, files.SAMPLES)
    places = fetch_all(names, folder)
    return [Trial(record, places.get(run_ids.get(record.attempt, ""), folder / "none")) for record in records]


def best(records: Iterable[Record]) -> Record | None:
    """Return the finished record of the highest accuracy by validation, the first of equal ones."""
    finished = [record for record in records if record.status == "finished" and record.final]
    return max(finished, key=val_accuracy, default=None)
