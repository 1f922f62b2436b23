"""What is kept of a grid file from one call to the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.driver.grid_state import GridState
from benchbench.errors import SpecError
from benchbench.records.claim import Claim
from benchbench.records.journal import Journal
from benchbench.records.state import state_folder

if TYPE_CHECKING:
    from pathlib import Path


def interrupted() -> Journal:
    journal = Journal.of(journals.SPEC.id, "20260101-000000-abcdef01")
    journal.append(journals.started(journal.attempt))
    journal.set_claim(Claim("sqlite:///mlflow.db", "bench", "1"))
    return journal


def test_a_file_is_run_by_one_process_at_a_time(workdir: Path) -> None:
    state = GridState(workdir / "grid.toml")
    with state.locked():
        with pytest.raises(SpecError, match="is being run by another process"), state.locked():
            pass
        with GridState(workdir / "other.toml").locked():
            pass
    with state.locked():
        pass


def test_state_that_cannot_be_written_is_said_in_one_line(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "file").touch()
    monkeypatch.setenv("BENCH_STATE", str(workdir / "file" / "state"))
    with pytest.raises(SpecError, match="cannot be written") as caught, GridState(workdir / "grid.toml").locked():
        pass
    assert "BENCH_STATE" in caught.value.hint


def test_trials_that_a_file_has_lost_are_known_after_its_folder_was_moved(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_STATE")
    (workdir / "before").mkdir()
    monkeypatch.chdir(workdir / "before")
    GridState(workdir / "before" / "grid.toml").begin([journals.SPEC])
    journal = interrupted()
    (workdir / "before").rename(workdir / "after")
    monkeypatch.chdir(workdir / "after")
    assert GridState(workdir / "after" / "grid.toml").left_behind([]) == [journal]


def test_state_that_was_cut_short_is_passed_over(workdir: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = GridState(workdir / "grid.toml")
    state.begin([journals.SPEC])
    journal = interrupted()
    assert state.left_behind([]) == [journal]
    (path,) = (state_folder() / "grids").glob("*.json")
    path.write_text('["0123', encoding="utf-8")
    assert state.left_behind([]) == []
    assert str(path) in caplog.text


def test_a_call_that_would_leave_an_interrupted_trial_behind_is_told_which_and_what_to_do(workdir: Path) -> None:
    state = GridState(workdir / "grid.toml")
    state.begin([journals.SPEC])
    interrupted()
    state.check_all_included([journals.SPEC])
    with pytest.raises(SpecError, match=r"other trials than the last one of .+ such as seed=7") as caught:
        state.check_all_included([replace(journals.SPEC, seed=8)])
    assert "--set" in caught.value.hint


def test_an_interrupted_trial_whose_run_was_deleted_is_not_left_behind(workdir: Path) -> None:
    state = GridState(workdir / "grid.toml")
    state.begin([journals.SPEC])
    journal = interrupted()
    state.check_all_included([], deleted={journal.attempt})
    with pytest.raises(SpecError):
        state.check_all_included([])


def test_a_damaged_journal_is_no_trial_that_was_left_behind(workdir: Path) -> None:
    state = GridState(workdir / "grid.toml")
    state.begin([journals.SPEC])
    (interrupted().folder / "events.jsonl").write_bytes(b"{}\n")
    assert state.left_behind([]) == []
