"""Delivery beside the training: nothing that goes wrong in it is raised there, or forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.errors import TrackingError
from benchbench.records.journal import Journal
from benchbench.tracking import Store, TrackerThread, is_delivered

if TYPE_CHECKING:
    from pathlib import Path

LONG_SECONDS = 120


def wait_for_delivery(journal: Journal) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not is_delivered(journal):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_named_journals_are_delivered_by_the_time_it_is_closed(database: str, tmp_path: Path) -> None:
    tracker = TrackerThread(database)
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1))
    tracker.notify(journal)
    journal.append(journals.finished())
    tracker.notify(journal)
    other = journals.write_journal(tmp_path, journals.started("other"), journals.failed())
    tracker.notify(other)
    assert tracker.close(LONG_SECONDS) == []
    assert is_delivered(journal)
    assert is_delivered(other)
    store = Store.open(database)
    runs = store.client.search_runs([store.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED"]
    assert tracker.trouble == ""


def damaged_and_sound(folder: Path) -> tuple[Journal, Journal]:
    """Return a journal that cannot be delivered, and one that can."""
    damaged = Journal(folder / "damaged")
    damaged.append(journals.epoch(1))
    return damaged, journals.write_journal(folder, journals.started("sound"), journals.finished())


def test_a_journal_that_cannot_be_delivered_does_not_hold_up_the_others(database: str, tmp_path: Path) -> None:
    told: list[str] = []
    tracker = TrackerThread(database, on_trouble=told.append)
    damaged, sound = damaged_and_sound(tmp_path)
    tracker.notify(damaged)
    tracker.notify(sound)
    wait_for_delivery(sound)
    assert tracker.close(1) == [damaged]
    assert any("begins with 'started'" in text for text in told)


def test_a_callback_that_fails_does_not_end_the_delivery(database: str, tmp_path: Path) -> None:
    def fails(text: str) -> None:
        raise BrokenPipeError(text)

    tracker = TrackerThread(database, on_trouble=fails)
    damaged, sound = damaged_and_sound(tmp_path)
    tracker.notify(damaged)
    tracker.notify(sound)
    wait_for_delivery(sound)
    assert tracker.close(1) == [damaged]


def test_waiting_for_a_store_that_cannot_be_opened_raises_why(workdir: Path) -> None:
    tracker = TrackerThread(f"file:{workdir}/mlruns")
    with pytest.raises(TrackingError, match="is a folder"):
        tracker.wait_open()
    journal = journals.write_journal(workdir, journals.started())
    tracker.notify(journal)
    assert tracker.close(LONG_SECONDS) == [journal]
    assert journal.mlflow_run() is None


def test_closing_without_work_delivers_nothing_and_returns(database: str) -> None:
    assert TrackerThread(database).close(LONG_SECONDS) == []
