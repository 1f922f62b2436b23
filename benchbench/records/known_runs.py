"""What a tracker tells about runs that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.records.events import WORST_RANK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from benchbench.records.events import Rank

Key = tuple[str, str]
"""Spec id and data digest."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its plugins' source digests by kind, package versions, seconds, and rank."""

    run_id: str
    sources: Mapping[str, str]
    versions: Mapping[str, str]
    wall_seconds: float | None = None
    rank: Rank = WORST_RANK


@dataclass(frozen=True)
class KnownRuns:
    """The finished runs of an experiment, and the attempts whose runs were deleted."""

    finished: Mapping[Key, FinishedRun]
    deleted_attempts: Collection[str]


@dataclass(frozen=True)
class Predictions:
    """The test images of a run by name, their classes, and the ones that its model predicts, in the same order."""

    images: tuple[str, ...]
    classes: tuple[str, ...]
    predictions: tuple[str, ...]

    @property
    def is_correct(self) -> tuple[bool, ...]:
        """Return for each image whether the prediction is correct."""
        return tuple(true == predicted for true, predicted in zip(self.classes, self.predictions, strict=True))
