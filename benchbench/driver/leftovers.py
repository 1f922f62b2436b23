"""What earlier calls left open: trials whose process died, and results that MLflow does not have yet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.driver.end_of_call import close_grids
from benchbench.driver.provenance import write_record
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.calls import drop_dead
from benchbench.records.journal import Journal
from benchbench.records.record import Record, RecordError
from benchbench.records.recovery import mark_dead
from benchbench.tracking import is_delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchbench.driver.artifact_policy import ArtifactPolicy
    from benchbench.driver.plan import Planned
    from benchbench.records.calls import Call
    from benchbench.tracking import TrackerThread


def end_dead() -> list[Journal]:
    """End trials whose process ended unexpectedly, as killed, with the record of what they did."""
    dead = mark_dead()
    for journal in dead:
        claim = journal.claim()
        if claim is None or journal.keeps_record(claim.artifacts):
            with suppress(OSError):  # the journal has it all, and MLflow gets it from there
                write_record(journal)
    return dead


def finish(
    plan: Sequence[Planned],
    tracker: TrackerThread,
    artifacts: ArtifactPolicy,
    *,
    call: Call,
    note: Callable[[str], None],
) -> list[Journal]:
    """Finish the trials that killed calls left open, and have undelivered results sent.

    Returns the journals of those trials that are in the plan; they are those of ``call`` now, which has to close them.
    """
    for journal in end_dead():
        note(f"{journal.shown_id()} was interrupted: the process that ran it ended unexpectedly")
    store = tracker.wait_open()
    planned = {item.journal.attempt for item in plan if item.journal}
    taken_over, named = [], set()
    for journal in Journal.all():
        claim = journal.claim()
        if claim is None or claim.tracking_uri != store.tracking_uri or not journal.is_cut_off():
            named |= {claim.call} if claim and claim.is_open else set()
            continue
        if journal.attempt in planned:
            # From now on no other call takes it for one that nobody completes.
            journal.set_claim(replace(claim, call=call))
            taken_over.append(journal)
            _complete(journal, tracker, artifacts)
            if not is_delivered(journal):
                tracker.notify(journal)
        else:
            _complete(journal, tracker, artifacts.of_its_call(journal))
            journal.close_claim()
    close_grids(tracker, note)
    drop_dead(but=named)
    tracker.send_leftovers()
    return taken_over


def _complete(journal: Journal, tracker: TrackerThread, artifacts: ArtifactPolicy) -> None:
    """Do what a call that was killed left undone after the end of a trial."""
    record = journal.try_record()
    if record is None or record.status == "running":
        return
    draws_figures = file_names.FIGURES_FOLDER in kept_at(artifacts.level)
    # Drawing takes so long that a trial may be delivered before its figures are there.
    lacks_files = record.status == "finished" and (draws_figures or not is_delivered(journal))
    if lacks_files or not _has_record_of(record, journal):
        artifacts.complete(journal)
        tracker.notify(journal)


def _has_record_of(record: Record, journal: Journal) -> bool:
    """Tell whether the trial's record is among its artifacts or was delivered; one of an earlier end is not it."""
    path = journal.artifacts / file_names.RECORD
    if not path.exists():
        return path.relative_to(journal.folder).as_posix() in journal.delivered()
    with suppress(RecordError):
        return Record.from_json(path.read_bytes()).ended_ms == record.ended_ms
    return False
