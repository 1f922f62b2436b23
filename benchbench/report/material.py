"""What a report is made of: trials, each with the files that its run keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.records.record import Record


def val_accuracy(record: Record) -> float:
    """Return what trials are ranked by: those without results come after all others."""
    return record.final.val_accuracy if record.final else -1.0


@dataclass(frozen=True)
class Trial:
    """A trial's record, and a local folder with what its run keeps among the files of docs/records.md.

    ``artifacts`` may lack any of them: trials that did not finish keep none, and ``--artifacts light`` keeps no
    images.
    """

    record: Record
    artifacts: Path
