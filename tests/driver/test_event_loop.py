"""What trials say, heard by the call that runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from support import journals

from benchbench.driver.event_loop import Drive, new_attempt
from benchbench.driver.listeners import Listeners
from benchbench.driver.watcher import Watcher
from benchbench.errors import RunningElsewhereError, TrialError
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Refused
from benchbench.records.claim import Claim
from benchbench.records.events import Error
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from pathlib import Path

    from benchbench.protocol.messages import TrialMessage
    from benchbench.records.calls import Call
    from benchbench.records.events import Epoch
    from benchbench.records.record import Record


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
    job = TrialJob(journals.SPEC, "a", str(tmp_path), str(tmp_path / "a"))
    refused = Refused(Error(kind="OutOfMemoryError", message="the GPU is full", hint="a smaller batch"))
    ending = drive(retries=1).run([job], Told(journals.started("a"), journals.epoch(1), Died("killed"), refused))
    (outcome,) = ending.outcomes
    assert outcome.record is not None
    assert (outcome.status, len(outcome.record.epochs)) == ("failed", 1)
    assert outcome.record.error is not None
    assert outcome.record.error.message == "the GPU is full"
    assert Journal(tmp_path / "a").is_interrupted()


class Repeats(Watcher):
    """Keeps the numbers of the epochs that were trained again."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def repeated(self, job: TrialJob, epoch: Epoch, record: Record) -> None:
        assert record.has_epoch(epoch)
        self.epochs.append(epoch.epoch)


def test_epochs_trained_again_are_told_and_those_of_the_checkpoint_are_not(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "a")
    epochs = [journals.epoch(number) for number in (1, 2, 3)]
    for event in (journals.started("a"), *epochs):
        Journal(tmp_path / "a").append(event)
    watcher = Repeats()
    ending = replace(drive(), watcher=watcher).run([job], Told(journals.resumed(1), *epochs, journals.finished()))
    assert watcher.epochs == [2, 3]
    assert [len(outcome.record.epochs) for outcome in ending.outcomes if outcome.record] == [3]


def test_events_of_one_trial_never_reach_the_journal_of_another(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "a")
    with pytest.raises(TrialError, match="has begun b when it was asked for a"):
        drive().run([job], Told(journals.started("b")))
    assert not Journal(tmp_path / "a").exists()


@dataclass
class Others:
    """Another call, which trains the trial ``b`` until ``a`` has ended here, and then finishes it or not."""

    folder: Path
    is_finished: bool

    def has_ended(self, job: TrialJob) -> bool:
        mine = Journal(self.folder / "a")
        return job.attempt == "b" and mine.exists() and mine.record().status == "finished"

    def finished(self, job: TrialJob) -> Journal | None:
        if not (self.is_finished and self.has_ended(job)):
            return None
        theirs = Journal(self.folder / "theirs")
        return theirs if theirs.exists() else finished(self.folder)

    def are_training(self, job: TrialJob, *, call: Call) -> bool:
        del call
        return job.attempt == "b" and not self.has_ended(job)


def finished(folder: Path) -> Journal:
    """Return the journal of a trial that another call has finished."""
    return journals.write_journal(folder, journals.started("theirs"), journals.finished())


def jobs(folder: Path, names: str) -> list[TrialJob]:
    return [TrialJob(journals.SPEC, name, str(folder), str(folder / name)) for name in names]


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_a_trial_that_another_call_trains_is_left_to_it_and_trained_here_if_that_does_not_finish_it(
    tmp_path: Path, names: str, *, is_finished: bool
) -> None:
    others: Any = Others(tmp_path, is_finished)
    ending = drive(others=others).run(jobs(tmp_path, names), OneByOne())
    assert [(outcome.job.attempt, outcome.status, outcome.is_elsewhere) for outcome in ending.outcomes] == [
        ("a", "finished", False),
        ("theirs" if is_finished else "b", "finished", is_finished),
    ]
    assert Journal(tmp_path / "b").exists() is not is_finished


def test_a_call_with_nothing_to_train_but_what_another_trains_waits_for_it(tmp_path: Path) -> None:
    looks = iter([False, False, True])

    class OneOther(Others):
        def has_ended(self, job: TrialJob) -> bool:
            return next(looks, True)

    others: Any = OneOther(tmp_path, is_finished=True)
    (outcome,) = drive(others=others).run(jobs(tmp_path, "b"), OneByOne()).outcomes
    assert (outcome.job.attempt, outcome.is_elsewhere) == ("theirs", True)


def test_after_too_many_failures_nobody_waits_for_another_call(tmp_path: Path) -> None:
    class Failing(OneByOne):
        def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
            while jobs:
                job = jobs.popleft()
                yield job, journals.started(job.attempt)
                yield job, journals.failed()

    class ForEver(Others):
        def has_ended(self, job: TrialJob) -> bool:
            return False

    others: Any = ForEver(tmp_path, is_finished=True)
    (outcome,) = drive(others=others, max_failures=1).run(jobs(tmp_path, "ba"), Failing()).outcomes
    assert (outcome.job.attempt, outcome.status) == ("a", "failed")


class Locked(OneByOne):
    """An executor that finds the first trial locked by another call, once."""

    has_refused = False

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        if not self.has_refused:
            self.has_refused = True
            error = RunningElsewhereError("this trial is already running in another process")
            yield jobs.popleft(), Refused(Error(**error.to_json()))
        yield from super().run(jobs)


def test_a_trial_whose_lock_another_call_holds_is_tried_again_later(tmp_path: Path) -> None:
    class Elsewhere(Others):
        def are_training(self, job: TrialJob, *, call: Call) -> bool:
            return False

    others: Any = Elsewhere(tmp_path, is_finished=False)
    ending = drive(others=others).run(jobs(tmp_path, "ab"), Locked())
    assert [(outcome.job.attempt, outcome.status) for outcome in ending.outcomes] == [
        ("b", "finished"),
        ("a", "finished"),
    ]


def test_a_trial_whose_worker_died_before_it_began_is_not_trained_if_another_call_finishes_it(tmp_path: Path) -> None:
    class Dying(OneByOne):
        """An executor whose first worker is killed before the trial begins, while another call finishes the trial."""

        has_died = False

        def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
            if not self.has_died:
                self.has_died = True
                job = jobs.popleft()
                finished(tmp_path)
                yield job, Died("killed")
            yield from super().run(jobs)

    class Elsewhere(Others):
        def has_ended(self, job: TrialJob) -> bool:
            return (tmp_path / "theirs").exists()

        def are_training(self, job: TrialJob, *, call: Call) -> bool:
            return False

    others: Any = Elsewhere(tmp_path, is_finished=True)
    (outcome,) = drive(others=others, retries=1).run(jobs(tmp_path, "b"), Dying()).outcomes
    assert (outcome.job.attempt, outcome.status, outcome.is_elsewhere) == ("theirs", "finished", True)
    assert not Journal(tmp_path / "b").exists()


@pytest.mark.parametrize("retries", [0, 1])
def test_a_resumed_trial_whose_worker_died_before_it_went_on_is_left_to_the_call_that_trains_it(
    tmp_path: Path, retries: int
) -> None:
    (job,) = jobs(tmp_path, "b")
    theirs = Journal(tmp_path / "b")
    for event in (journals.started("b"), journals.epoch(1), journals.failed(status="killed"), journals.resumed(1)):
        theirs.append(event)
    before = (tmp_path / "b" / "events.jsonl").read_text(encoding="utf-8")
    error = RunningElsewhereError("this trial is already running in another process")
    said = (Died("killed"), Refused(Error(**error.to_json())))
    (outcome,) = drive(retries=retries).run([replace(job, resume=True)], Told(*said[: retries + 1])).outcomes
    assert outcome.status == "refused"
    assert (tmp_path / "b" / "events.jsonl").read_text(encoding="utf-8") == before


def test_a_trial_that_is_asked_for_again_while_another_call_trains_it_is_refused(tmp_path: Path) -> None:
    (outcome,) = drive().run(jobs(tmp_path, "a"), Locked()).outcomes
    assert outcome.status == "refused"
    assert "already running" in str(outcome.error)


def test_a_new_attempt_is_the_newest_of_its_trial_though_the_clock_was_put_back() -> None:
    for name in ("20991231-235959-abcdef01", "a-copy"):
        Journal.of(journals.SPEC.id, name).append(journals.started(name))
    latest = new_attempt(journals.SPEC.id)
    assert latest.startswith("21000101-000000-")
    Journal.of(journals.SPEC.id, latest).append(journals.started(latest))
    assert new_attempt(journals.SPEC.id).startswith("21000101-000001-")
    assert new_attempt("another trial") < latest
