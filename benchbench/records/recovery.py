"""Marks trials whose process ended unexpectedly as killed."""

from __future__ import annotations

from benchbench.errors import DriverDiedError
from benchbench.records.events import Error, Failed
from benchbench.records.journal import Journal


def mark_dead() -> list[Journal]:
    """Find trials whose process ended unexpectedly, end them as killed, and return them."""
    dead = []
    for journal in Journal.all():
        record = None if journal.is_marked_delivered() else journal.try_record()
        claim = journal.claim()
        if record is None or record.status != "running" or claim is None or claim.is_alive():
            continue
        now = journal.try_record()
        if now is None or now.status != "running" or journal.claim() != claim:
            continue  # someone has resumed it while we watched for signs of life
        error = Error(kind=DriverDiedError.__name__, message="the process that ran it ended unexpectedly")
        journal.append(Failed(status="killed", error=error))
        dead.append(journal)
    return dead
