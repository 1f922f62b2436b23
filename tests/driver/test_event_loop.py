"""What trials say, heard by the call that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import journals

from benchbench.driver.event_loop import Drive
from benchbench.driver.listeners import Listeners
from benchbench.driver.watcher import Watcher
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Refused
from benchbench.records.claim import Claim
from benchbench.records.events import Error
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from pathlib import Path

    from benchbench.executors import TrialMessage


class Told:
    """An executor whose trials say what they are told to say."""

    num_jobs = 1

    def __init__(self, *messages: TrialMessage) -> None:
        self._messages = messages

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        job = jobs.popleft()
        for message in self._messages:
            yield job, message
            if jobs:
                job = jobs.popleft()


def test_a_trial_whose_second_worker_is_refused_has_ended_and_can_be_resumed(tmp_path: Path) -> None:
    job = TrialJob(journals.SPEC, "a", "cpu", str(tmp_path), str(tmp_path / "a"))
    drive = Drive(
        claim=Claim("store", "bench", "0"),
        complete=lambda _: None,
        deliver=lambda _: None,
        watcher=Watcher(),
        listeners=Listeners([], on_trouble=str),
        retries=1,
    )
    refused = Refused(Error(kind="OutOfMemoryError", message="the GPU is full", hint="a smaller batch"))
    ending = drive.run([job], Told(journals.started("a"), journals.epoch(1), Died("killed"), refused))
    (outcome,) = ending.outcomes
    assert outcome.record is not None
    assert (outcome.status, len(outcome.record.epochs)) == ("failed", 1)
    assert outcome.record.error is not None
    assert outcome.record.error.message == "the GPU is full"
    assert Journal(tmp_path / "a").is_interrupted()
