"""What trials say, heard by the call that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import journals

from benchbench.driver.event_loop import Drive
from benchbench.driver.listeners import Listeners
from benchbench.driver.watcher import Watcher
from benchbench.errors import RunningElsewhereError
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


class OneByOne:
    """An executor that finishes one trial after another."""

    num_jobs = 1

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        while jobs:
            job = jobs.popleft()
            yield job, journals.started(job.attempt)
            yield job, journals.finished()


def drive(**more: Any) -> Drive:
    return Drive(
        claim=Claim("store", "bench", "0"),
        complete=lambda _: None,
        deliver=lambda _: None,
        watcher=Watcher(),
        listeners=Listeners([], on_trouble=str),
        **more,
    )


def test_a_trial_whose_second_worker_is_refused_has_ended_and_can_be_resumed(tmp_path: Path) -> None:
    job = TrialJob(journals.SPEC, "a", "cpu", str(tmp_path), str(tmp_path / "a"))
    refused = Refused(Error(kind="OutOfMemoryError", message="the GPU is full", hint="a smaller batch"))
    ending = drive(retries=1).run([job], Told(journals.started("a"), journals.epoch(1), Died("killed"), refused))
    (outcome,) = ending.outcomes
    assert outcome.record is not None
    assert (outcome.status, len(outcome.record.epochs)) == ("failed", 1)
    assert outcome.record.error is not None
    assert outcome.record.error.message == "the GPU is full"
    assert Journal(tmp_path / "a").is_interrupted()


def finished(folder: Path) -> Journal:
    """Return the journal of a trial that another call has finished."""
    return journals.write_journal(folder, journals.started("theirs"), journals.finished())


def test_a_trial_that_another_call_has_finished_is_not_started(tmp_path: Path) -> None:
    first, second = (TrialJob(journals.SPEC, name, "cpu", str(tmp_path), str(tmp_path / name)) for name in "ab")
    theirs = finished(tmp_path)

    def finished_meanwhile(job: TrialJob) -> Journal | None:
        has_ended = Journal(tmp_path / "a").exists() and Journal(tmp_path / "a").record().status == "finished"
        return theirs if job.attempt == "b" and has_ended else None

    ending = drive(finished_meanwhile=finished_meanwhile).run([first, second], OneByOne())
    assert [(outcome.job.attempt, outcome.status) for outcome in ending.outcomes] == [
        ("a", "finished"),
        ("theirs", "finished"),
    ]
    assert not Journal(tmp_path / "b").exists()


def test_a_trial_that_another_call_finishes_before_it_is_resumed_here_is_no_failure(tmp_path: Path) -> None:
    job = TrialJob(journals.SPEC, "theirs", "cpu", str(tmp_path), str(finished(tmp_path).folder), resume=True)
    refused = Refused(Error(kind="SpecError", message="another call has finished this trial meanwhile", hint=""))
    looks = iter([None, Journal(tmp_path / "theirs")])
    (outcome,) = drive(finished_meanwhile=lambda _: next(looks)).run([job], Told(refused)).outcomes
    assert (outcome.status, outcome.is_elsewhere) == ("finished", True)


@pytest.mark.parametrize("is_finished_since", [True, False])
def test_a_trial_that_another_call_trains_is_looked_at_again_at_the_end(
    tmp_path: Path, *, is_finished_since: bool
) -> None:
    first, second = (TrialJob(journals.SPEC, name, "cpu", str(tmp_path), str(tmp_path / name)) for name in "ab")
    theirs = finished(tmp_path) if is_finished_since else None

    def finished_meanwhile(job: TrialJob) -> Journal | None:
        return theirs if job.attempt == "a" and Journal(tmp_path / "b").exists() else None

    class BusyElsewhere(OneByOne):
        def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
            error = RunningElsewhereError("this trial is already running in another process")
            yield jobs.popleft(), Refused(Error(**error.to_json()))
            yield from super().run(jobs)

    ending = drive(finished_meanwhile=finished_meanwhile).run([first, second], BusyElsewhere())
    assert [outcome.status for outcome in ending.outcomes] == ["finished", "finished" if theirs else "refused"]
