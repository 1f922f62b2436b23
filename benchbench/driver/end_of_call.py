"""The end of a call: waits until MLflow has everything, and deletes what was kept only for delivery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.errors import TrackingError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from benchbench.driver.artifact_policy import ArtifactPolicy
    from benchbench.driver.watcher import Watcher
    from benchbench.records.grid_end import GridEnd
    from benchbench.records.journal import Journal
    from benchbench.report.grid_page import GridPage
    from benchbench.tracking import TrackerThread

FEW_DELIVERIES = 20
"""The most deliveries that are awaited without a note; they take two or three seconds."""

DELIVERY_SECONDS = 60.0
"""How long to wait at the end for a tracking server that has trouble; the next call delivers what is left."""


def wait_for_deliveries(tracker: TrackerThread, note: Callable[[str], None], *, ours: Collection[str]) -> bool:
    """Wait until MLflow has everything, and return whether it has what is ``ours``; Ctrl-C ends the wait.

    ``ours`` are the attempts of this call. For what earlier calls left, nobody waits once it cannot be sent.
    """
    try:
        if tracker.trouble:
            note(f"waiting {DELIVERY_SECONDS:.0f} s for the tracking store; Ctrl-C leaves it to the next call")
        elif (num_waiting := tracker.num_waiting) > FEW_DELIVERIES:
            note(f"sending the last {num_waiting} trials to MLflow; Ctrl-C leaves them to the next call")
        undelivered = tracker.close(DELIVERY_SECONDS, needed=ours)
    except KeyboardInterrupt:
        undelivered = tracker.close(0)
    our_own = [journal for journal in undelivered if journal.attempt in ours]
    reason = f" ({tracker.trouble})" if tracker.trouble else ""
    trials = counted(len(undelivered), "trial")
    if our_own:
        note(
            f"{trials} not delivered to MLflow yet{reason};"
            " the next bench run, bench grid or bench runs list sends them"
        )
    elif undelivered:
        note(
            f"{trials} of earlier calls still not delivered to MLflow{reason}; the next call tries"
            f" again. To give up a trial and its results, delete its folder, such as {undelivered[0].folder}"
        )
    for journal in tracker.deleted():
        note(
            f"the run of a trial was deleted in MLflow: its results are only in {journal.folder}; restore the run,"
            " and the next bench run, bench grid or bench runs list sends them. To give them up, delete the folder"
        )
    return not our_own


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
    tracker: TrackerThread, artifacts: ArtifactPolicy, *, ours: Collection[str], kept_back: Journal | None
) -> None:
    """Delete what was kept of finished trials for their delivery, but not the checkpoint of ``kept_back``.

    A checkpoint stays if the call that trained it was asked to keep it. ``ours`` are the attempts of this call. Of
    others, the one of a grid stays, which its best trial may need.
    """
    for journal in tracker.delivered():
        if journal.record().status != "finished":
            continue
        journal.drop_artifacts()
        claim = journal.claim()
        is_of_another_grid = journal.attempt not in ours and claim is not None and claim.parent_run_id is not None
        is_needed = kept_back is not None and journal.attempt == kept_back.attempt
        if not is_of_another_grid and not is_needed:
            artifacts.of_its_call(journal).drop_checkpoint(journal)
