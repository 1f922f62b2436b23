"""Files that runs keep, read with an error that names a damaged one: nobody has checked those of imported runs."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchbench.errors import TrackingError
from benchbench.records.damaged_zip import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what an odd file raises into a :class:`~benchbench.errors.TrackingError` with its name."""
    try:
        yield
    except (*DAMAGED, csv.Error, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        raise TrackingError(
            f"the {path.name} that a run keeps is damaged: {type(error).__name__}: {error}",
            hint="--debug shows where; delete the run in MLflow to leave it out",
        ) from error
