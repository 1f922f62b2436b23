"""What is kept of trials that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.driver.kept_artifacts import Artifacts

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.defaults import ArtifactLevel


@pytest.mark.parametrize("level", ["light", "full"])
def test_files_that_cannot_be_written_are_a_note_and_end_no_grid(tmp_path: Path, level: ArtifactLevel) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.finished())
    journal.artifacts.touch()
    notes: list[str] = []
    Artifacts(level, keep_checkpoints=False, note=notes.append).complete(journal)
    assert notes[0] == f"no spec.toml and record.json of a trial: File exists; {journal.folder} has its results"
    assert journal.record().status == "finished"
