"""The end of a call: waits until MLflow has everything, and deletes what was kept only for delivery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from benchbench.driver.kept_artifacts import Artifacts
    from benchbench.driver.watcher import Watcher
    from benchbench.records.grid_end import GridEnd
    from benchbench.records.journal import Journal
    from benchbench.report.grid_page import GridPage
    from benchbench.tracking import TrackerThread

FEW_DELIVERIES = 20
"""The most deliveries that are awaited without a note; they take two or three seconds."""

DELIVERY_SECONDS = 60.0
"""How long to wait at the end for a tracking server that has trouble; the next call delivers what is left."""


def wait_for_deliveries(tracker: TrackerThread, note: Callable[[str], None]) -> bool:
    """Wait until MLflow has everything, and return whether it has; Ctrl-C ends the wait."""
    try:
        if tracker.trouble:
            note(f"waiting {DELIVERY_SECONDS:.0f} s for the tracking store; Ctrl-C leaves it to the next call")
        elif (num_waiting := tracker.num_waiting) > FEW_DELIVERIES:
            note(f"sending the last {num_waiting} trials to MLflow; Ctrl-C leaves them to the next call")
        undelivered = tracker.close(DELIVERY_SECONDS)
    except KeyboardInterrupt:
        undelivered = tracker.close(0)
    if undelivered:
        note(
            f"{len(undelivered)} trial(s) not delivered to MLflow yet ({tracker.trouble});"
            " the next bench run, bench grid or bench runs list sends them"
        )
    for journal in tracker.deleted():
        note(
            f"the run of a trial was deleted in MLflow: its results are only in {journal.folder}; restore the run,"
            " and the next bench run, bench grid or bench runs list sends them"
        )
    return not undelivered


def describe_grid(end: GridEnd, page: Callable[[], GridPage], watcher: Watcher) -> None:
    """Add a description to how a grid ended; if that fails it costs a note, not the results."""
    try:
        described = page()
        replace(end, note=described.note, files=described.files).keep()
    except Exception as error:  # noqa: BLE001 - whatever strange values do to a table
        watcher.fault(f"the grid's run is not described: {type(error).__name__}: {error}", error)


def close_grids(tracker: TrackerThread, note: Callable[[str], None]) -> None:
    """End the runs of grids that have ended; trouble is a note, and the next call tries again."""
    try:
        tracker.wait_open().close_parents()
    except TrackingError as error:
        note(error.message)


def drop_delivered(
    tracker: TrackerThread, artifacts: Artifacts, *, ours: Collection[str], kept_back: Journal | None
) -> None:
    """Delete what was kept of finished trials for their delivery, but not the checkpoint of ``kept_back``.

    ``ours`` are the attempts of this call. Of others, the checkpoint goes by what their call was asked to keep; the one
    of a grid stays, which its best trial may need.
    """
    for journal in tracker.delivered():
        if journal.record().status != "finished":
            continue
        journal.drop_artifacts()
        claim = journal.claim()
        if journal.attempt in ours:
            if kept_back is None or journal.attempt != kept_back.attempt:
                artifacts.drop_checkpoint(journal)
        elif claim is None or claim.parent_run_id is None:
            artifacts.of_its_call(journal).drop_checkpoint(journal)
