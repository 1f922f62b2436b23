"""What a journal keeps, and what it makes of files that are damaged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.errors import SpecError, TrialError
from benchbench.records.claim import Claim
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.records.record import MlflowRun
from benchbench.records.recovery import mark_dead
from benchbench.records.state import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.records.events import Event

STRANGE = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\r\nh"
"""All characters at which str.splitlines splits."""


def kept(*events: Event, attempt: str = "20260101-000000-abcdef01") -> Journal:
    """Return a journal in our state folder."""
    journal = Journal.of(journals.SPEC.id, attempt)
    for event in (journals.started(attempt), *events):
        journal.append(event)
    return journal


def test_class_names_and_messages_may_have_any_character() -> None:
    failed = replace(journals.failed(), error=replace(journals.failed().error, message=STRANGE))
    began = journals.started(class_names=(STRANGE, "b"))
    journal = Journal.of(journals.SPEC.id, began.attempt)
    for event in (began, journals.epoch(1), failed):
        journal.append(event)
    record = journal.record()
    assert record.data.class_names == (STRANGE, "b")
    assert record.error is not None
    assert record.error.message == STRANGE
    assert len(record.epochs) == 1


def test_a_line_that_a_crash_cut_off_is_not_read_and_then_overwritten() -> None:
    journal = kept(journals.epoch(1))
    with (journal.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event":"epoch_fin\0\0\0')
    assert len(journal.record().epochs) == 1
    journal.append(journals.epoch(2))
    assert len(journal.record().epochs) == 2


def test_a_journal_that_is_damaged_inside_is_named_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    journal, good = kept(journals.epoch(1), journals.finished()), kept(attempt="20260101-000001-abcdef02")
    path = journal.folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"event":"epoch_finished"', b'"event":"epoch_f\xffnished"'))
    assert journal.try_record() is None
    assert good.try_record() is not None
    assert [str(path) in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("content", [b"", b'{"tracking_uri": "sqli', b"\0" * 50, b"[]", b"\xff"])
def test_state_that_was_cut_short_is_named_once_and_passed_over(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    journal = kept(journals.epoch(1))
    journal.set_claim(Claim("sqlite:///mlflow.db", "bench", "1"))
    journal.set_mlflow_run(MlflowRun("sqlite:///mlflow.db", "1", "abc"))
    journal.set_delivered({"events.jsonl": [1, 2]})
    end = GridEnd("sqlite:///mlflow.db", "abc", "finished")
    end.keep()
    names = ("claim.json", "mlflow.json", "delivered")
    paths = [*(journal.folder / name for name in names), state_folder() / "grids" / "abc.end.json"]
    for path in paths:
        path.write_bytes(content)
    assert (journal.claim(), journal.mlflow_run(), journal.delivered(), GridEnd.all()) == (None, None, {}, [])
    assert journal.is_interrupted()
    assert not journal.is_cut_off()
    assert mark_dead() == []
    assert len(caplog.messages) == len(paths)
    for path, message in zip(paths, caplog.messages, strict=True):
        assert str(path) in message
        assert "delete it" in message


def test_state_is_replaced_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    claim = Claim("http://host:5000", "bench", "1")
    journal.set_claim(claim)
    journal.set_claim(replace(claim, is_open=False))
    assert journal.claim() == replace(claim, is_open=False)
    assert [path.name for path in tmp_path.iterdir()] == ["claim.json"]


def test_a_claim_with_a_key_that_is_called_otherwise_now_is_still_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path)
    claim = Claim("http://host:5000", "bench", "1", continued_spec_id="abc")
    journal.set_claim(claim)
    path = tmp_path / "claim.json"
    path.write_text(path.read_text(encoding="utf-8").replace("continued_spec_id", "continues"), encoding="utf-8")
    assert journal.claim() == replace(claim, continued_spec_id="")
    assert caplog.messages == []


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "attempt")
    with pytest.raises(SpecError, match="cannot be written"):
        journal.set_claim(Claim("http://host:5000", "bench", "1"))
    with pytest.raises(TrialError, match="cannot be written"):
        journal.append(journals.started())


def test_state_names_a_database_beside_it_relatively_so_that_both_can_be_moved(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_STATE")
    (workdir / "before").mkdir()
    monkeypatch.chdir(workdir / "before")
    journal = kept()
    journal.set_claim(Claim(f"sqlite:///{workdir}/before/mlflow.db", "bench", "1"))
    journal.set_mlflow_run(MlflowRun(f"sqlite:///{workdir}/before/mlflow.db?timeout=5", "1", "abc"))
    (workdir / "before").rename(workdir / "after")
    monkeypatch.chdir(workdir / "after")
    claim, run = journal.claim(), journal.mlflow_run()
    assert claim is not None
    assert claim.tracking_uri == f"sqlite:///{workdir}/after/mlflow.db"
    assert run is not None
    assert run.tracking_uri == f"sqlite:///{workdir}/after/mlflow.db?timeout=5"
