"""The files that a run keeps among its artifacts, one row for each.

The level of a file is the lowest one that includes it. ``--artifacts`` of ``bench run`` and ``bench grid`` says which
files the run of a trial keeps, and ``--artifacts`` of ``bench export`` which of them an export carries. For exports
there are three exceptions:

- The record of a trial goes along even with ``none``.
- Files that others have added to a run go along with ``full``.
- ``report.html`` never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from benchbench.config.defaults import ArtifactLevel
from benchbench.records import file_names

LEVELS: tuple[ArtifactLevel, ...] = get_args(ArtifactLevel)
"""From what keeps least to what keeps most."""


class ClassColumn(StrEnum):
    """The columns of ``per_class.csv``. A class without test images has no accuracy."""

    CLASS = "class"
    IMAGES = "images"
    CORRECT = "correct"
    ACCURACY = "accuracy"


class PredictionColumn(StrEnum):
    """The columns of ``predictions.csv``. A prediction of no class is ``(other)``; ``correct`` is ``yes`` or ``no``."""

    IMAGE = "image"
    CLASS = "class"
    PREDICTION = "prediction"
    PROBABILITY = "probability"
    CORRECT = "correct"


class LayerColumn(StrEnum):
    """The columns of ``layers.csv``. An output is such as ``64x36x36``."""

    LAYER = "layer"
    KIND = "kind"
    OUTPUT = "output"
    PARAMETERS = "parameters"
    MULTIPLY_ADDS = "multiply_adds"


@dataclass(frozen=True)
class ArtifactFile:
    """A file or a folder, its level, its columns if it is a table, and the trials whose file a report reads.

    ``is_certain`` says that every finished trial of the level has it; others are left out if they cannot be made.
    """

    name: str
    level: ArtifactLevel
    columns: tuple[str, ...] = ()
    in_report: Literal["of every trial", "of the best trial", "no"] = "no"
    is_certain: bool = False


FILES = (
    # Of a trial. What is in those with images is in data/kept_images.py.
    ArtifactFile(file_names.RECORD, "light", is_certain=True),
    ArtifactFile(file_names.SPEC, "light", in_report="of every trial", is_certain=True),
    ArtifactFile(file_names.ENVIRONMENT, "light", in_report="of every trial", is_certain=True),
    ArtifactFile(file_names.PER_CLASS, "light", tuple(ClassColumn), in_report="of every trial", is_certain=True),
    # Then a column for each prediction.
    ArtifactFile(file_names.CONFUSION_MATRIX, "light", (ClassColumn.CLASS,), in_report="of every trial"),
    ArtifactFile(file_names.PREDICTIONS, "light", tuple(PredictionColumn), is_certain=True),
    ArtifactFile(file_names.LAYERS, "light", tuple(LayerColumn)),
    ArtifactFile(file_names.FIGURES_FOLDER, "full"),
    ArtifactFile(file_names.SAMPLES, "full", in_report="of the best trial", is_certain=True),
    ArtifactFile(file_names.SEEN, "full", in_report="of the best trial", is_certain=True),
    ArtifactFile(file_names.MODEL_FOLDER, "full"),
    # Of a grid, and of a timing. Their runs have them at any level.
    ArtifactFile(file_names.GRID, "light"),
    ArtifactFile(file_names.TRIALS, "light"),
    ArtifactFile(file_names.TIMING, "light"),
)


def kept_at(level: ArtifactLevel) -> frozenset[str]:
    """Return the names of the files that a level includes."""
    included = LEVELS[: LEVELS.index(level) + 1]
    return frozenset(file.name for file in FILES if file.level in included)


def certain_at(level: ArtifactLevel) -> frozenset[str]:
    """Return the names of the files by which one sees that this level was made, and not just a lower one."""
    return frozenset(file.name for file in FILES if file.level == level and file.is_certain)


def read_by_report(*, is_best: bool) -> tuple[str, ...]:
    """Return the names of the files of a trial that a report reads."""
    wanted = ("of every trial", "of the best trial") if is_best else ("of every trial",)
    return tuple(file.name for file in FILES if file.in_report in wanted)
