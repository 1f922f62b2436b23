"""What a run's trained model said of each test picture, read back."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from benchbench.errors import TrackingError
from benchbench.tracker.records import artifact_text, reading

PREDICTIONS_FILE = "predictions.csv"
_COLUMNS = {"picture", "label", "prediction"}


@dataclass(frozen=True)
class Predictions:
    """The test pictures of a run by name, their labels, and what its model took them for, in the same order."""

    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]

    @property
    def is_correct(self) -> tuple[bool, ...]:
        """Return for each picture whether the model is right."""
        return tuple(label == said for label, said in zip(self.labels, self.predictions, strict=True))


def load_predictions(run_id: str, *, tracking_uri: str | None = None) -> Predictions:
    """Return the predictions that a run keeps.

    Raises :class:`TrackingError` where it keeps none, as with ``--artifacts none`` and for trials that did not finish.
    """
    with reading(tracking_uri) as client:
        text = artifact_text(client, client.get_run(run_id), PREDICTIONS_FILE)
    rows = [] if text is None else list(csv.DictReader(io.StringIO(text)))
    if not rows or not rows[0].keys() >= _COLUMNS:
        raise TrackingError(
            f"the run {run_id} keeps no predictions",
            hint="finished trials keep them unless they ran with --artifacts none",
        )
    pictures, labels, predictions = (tuple(row[name] for row in rows) for name in ("picture", "label", "prediction"))
    return Predictions(pictures, labels, predictions)
