"""What is kept of trials that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.driver.artifact_policy import ArtifactPolicy
from benchbench.records.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.defaults import ArtifactLevel


@pytest.mark.parametrize("level", ["light", "full"])
def test_files_that_cannot_be_written_are_a_note_and_end_no_grid(tmp_path: Path, level: ArtifactLevel) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.finished())
    journal.artifacts.touch()
    notes: list[str] = []
    artifacts = ArtifactPolicy(level, keep_checkpoints=False, note=notes.append)
    artifacts.complete(journal)
    assert notes[0].startswith("a trial has no record.json so far: ")
    assert journal.record().status == "finished"
    assert artifacts.complete_again() == []
    journal.artifacts.unlink()  # there is room again
    assert artifacts.complete_again() == [journal]
    assert (journal.artifacts / "record.json").exists()


def test_without_artifacts_the_record_of_an_earlier_end_is_replaced(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.failed(status="killed"))
    nothing, light = (ArtifactPolicy(level, keep_checkpoints=False, note=str) for level in ("none", "light"))
    nothing.complete(journal)
    assert not journal.artifacts.exists()
    light.complete(journal)
    for event in (journals.resumed(0), journals.epoch(1), journals.finished()):
        journal.append(event)
    nothing.complete(journal)
    record = Record.from_json((journal.artifacts / "record.json").read_bytes())
    assert (record.status, record.final) == ("finished", journal.record().final)
