"""What a tracker knows of trials that ended before: what a plan of a grid is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Key = tuple[str, str]
"""Spec id and data digest."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its plugins' source digests by kind, package versions, seconds, and final accuracy."""

    run_id: str
    sources: Mapping[str, str]
    versions: Mapping[str, str]
    wall_seconds: float | None = None
    val_accuracy: float | None = None


@dataclass(frozen=True)
class Known:
    """What MLflow knows of an experiment: finished runs, and the attempts whose runs were deleted."""

    finished: Mapping[Key, FinishedRun]
    deleted_attempts: Collection[str]
