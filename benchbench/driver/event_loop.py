"""Drive an executor: what trials say goes to the journal first, then to the tracker, the display, the listeners."""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from benchbench.driver.interrupts import Interrupts
from benchbench.errors import BenchError, RunningElsewhereError, StoppedError, TrialError, WorkerDiedError, counted
from benchbench.protocol.messages import Died, Output, Refused, Status
from benchbench.records.events import EpochFinished, Error, Event, Failed, Finished, Resumed, Started
from benchbench.records.journal import Journal
from benchbench.records.record import Record
from benchbench.records.redaction import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from benchbench.driver.listeners import Listeners
    from benchbench.driver.plan import OtherCalls
    from benchbench.driver.watcher import Watcher
    from benchbench.executors import Executor
    from benchbench.protocol.jobs import TrialJob
    from benchbench.protocol.messages import TrialMessage
    from benchbench.records.claim import Claim


POLL_SECONDS = 0.5
"""How often to look whether another call has ended a trial."""

_TIME, _TIME_CHARACTERS = "%Y%m%d-%H%M%S", 15


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended: with a record, or with the error that kept it from starting.

    If it ``is_elsewhere``, another call has finished it, and the job has that call's attempt and folder.
    """

    job: TrialJob
    record: Record | None = None
    error: BenchError | None = None
    is_elsewhere: bool = False

    @property
    def status(self) -> str:
        """Return ``finished``, ``failed``, ``killed`` or ``refused``."""
        return self.record.status if self.record else "refused"

    @property
    def is_failure(self) -> bool:
        """Whether it failed or could not begin."""
        return self.status in ("failed", "refused")


@dataclass(frozen=True)
class Ending:
    """How trials ended, in that order; those that an interrupt kept from starting are not here."""

    outcomes: list[TrialOutcome]
    is_interrupted: bool

    @property
    def num_failures(self) -> int:
        """How many trials failed, or could not begin."""
        return _num_failures(self.outcomes)


@dataclass(frozen=True)
class Drive:
    """How trials are driven.

    ``claim`` says whose they are from their first event on. ``complete`` adds to the artifacts of a trial that has
    ended in any way. ``deliver`` is told of a journal whenever it has grown, and must not wait. ``varied`` is what
    tells trials from the others of their grid, by attempt: it is added to the names of runs. A trial whose worker is
    killed by the system is resumed ``retries`` times. No trial is started after ``max_failures`` have failed.
    ``others`` tells of trials that other calls have finished since this one was planned, which are not started, or
    train now, which are left to them. Without it, a trial that another call trains is refused.
    """

    claim: Claim
    complete: Callable[[Journal], None]
    deliver: Callable[[Journal], None]
    watcher: Watcher
    listeners: Listeners
    varied: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0
    max_failures: int | None = None
    others: OtherCalls | None = None

    def run(self, jobs: Iterable[TrialJob], executor: Executor) -> Ending:
        """Run the jobs and return how each ended.

        SIGINT, SIGTERM and SIGHUP stop the trials after their batch or epoch, a second one of the first two at once.
        """
        running = _Running(self, deque(jobs), Interrupts(executor, self.watcher.note))
        with running.interrupts.caught():
            running.choose_next(executor.num_jobs)
            while running.waiting or running.deferred:
                for job, message in executor.run(running.waiting):
                    running.hear(job, message)
                    if isinstance(message, Finished | Failed | Refused | Died):
                        running.choose_next(executor.num_jobs)
                    if self.max_failures is not None and _num_failures(running.outcomes) >= self.max_failures:
                        running.end_waiting()
                if running.interrupts.count:
                    break
                running.wait_for_others()
            running.end_waiting()
        return Ending(running.outcomes, running.interrupts.count > 0)


def new_attempt(spec_id: str) -> str:
    """Return a fresh attempt id at a spec that sorts by time, and after its earlier ones if the clock was put back."""
    earlier = (journal.attempt[:_TIME_CHARACTERS] for journal in Journal.attempts(spec_id))
    now = max((datetime.now(UTC).strftime(_TIME), *map(_next_second, earlier)))
    return f"{now}-{uuid.uuid4().hex[:8]}"


def _next_second(text: str) -> str:
    try:
        return (datetime.strptime(text, _TIME).replace(tzinfo=UTC) + timedelta(seconds=1)).strftime(_TIME)
    except ValueError:  # a folder that someone named otherwise
        return ""


@dataclass
class _Running:
    """The trials of one call while they run."""

    drive: Drive
    waiting: deque[TrialJob]
    interrupts: Interrupts
    outcomes: list[TrialOutcome] = field(default_factory=list)
    deferred: list[TrialJob] = field(default_factory=list)
    has_waited: bool = False
    deaths: dict[str, int] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    num_resumed: dict[str, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    """The attempts that this call has begun or resumed, in which no other call can have a part."""

    def choose_next(self, num_next: int) -> None:
        """Take trials that another call has finished, or trains now, out of the next ones that wait."""
        position = 0
        while position < min(num_next, len(self.waiting)):
            job = self.waiting[position]
            if job.attempt in self.begun:  # and has to be ended here
                position += 1
            elif self._pass_over_if_finished(job):
                del self.waiting[position]
            elif self._is_trained_elsewhere(job):
                del self.waiting[position]
                self.deferred.append(job)
            else:
                position += 1

    def wait_for_others(self) -> None:
        """Wait until other calls have ended the trials that were left to them; those not finished wait here again."""
        if self.deferred and not self.has_waited:
            self.has_waited = True
            trials = counted(len(self.deferred), "trial")
            self.drive.watcher.note(f"waiting for {trials} that another process trains; Ctrl-C leaves them to it")
        while self.deferred and not self.waiting and not self.interrupts.count:
            deferred, self.deferred = self.deferred, []
            for job in deferred:
                if self._pass_over_if_finished(job):
                    continue
                (self.deferred if self._is_trained_elsewhere(job) else self.waiting).append(job)
            if self.deferred and not self.waiting:
                time.sleep(POLL_SECONDS)

    def _pass_over_if_finished(self, job: TrialJob) -> bool:
        """Take over the outcome of a trial that another call has finished; tell whether it has."""
        journal = self.drive.others.finished(job) if self.drive.others is not None else None
        if journal is None:
            return False
        record = journal.record()
        theirs = replace(job, attempt=journal.attempt, folder=str(journal.folder.absolute()))
        self.outcomes.append(TrialOutcome(theirs, record, is_elsewhere=True))
        self.drive.watcher.finished_elsewhere(job, record)
        return True

    def _is_trained_elsewhere(self, job: TrialJob) -> bool:
        others = self.drive.others
        return others is not None and others.are_training(job, call=self.drive.claim.call)

    def hear(self, job: TrialJob, message: TrialMessage) -> None:
        """Do what one message of a trial asks for."""
        match message:
            case Status(total=total) if total:
                self.drive.watcher.trial_progress(job, message.text, message.done, total)
            case Status():
                self.drive.watcher.trial_status(job, message.text)
            case Output():
                self.drive.watcher.note(message.text)
            case Refused():
                self._hear_of_refusal(job, message)
            case Died():
                self._hear_of_death(job, message)
            case Started() | Resumed() | EpochFinished() | Finished() | Failed():
                self._hear_event(job, message)
            case _:
                assert_never(message)

    def _hear_of_refusal(self, job: TrialJob, refused: Refused) -> None:
        if self.drive.others is not None and job.attempt not in self.begun:
            if self._pass_over_if_finished(job):
                return
            if isinstance(refused.error, RunningElsewhereError):
                self.deferred.append(job)
                return
        record = self._record(job, _journal(job)) if job.attempt in self.begun else None
        if record is None or record.status != "running":
            self.outcomes.append(TrialOutcome(job, error=refused.error))
            return
        # It ran before its worker was killed, and can be resumed from there.
        message = without_credentials(refused.error.message)
        error = Error(kind=WorkerDiedError.__name__, message=message, hint=refused.error.hint)
        self._hear_event(job, Failed(status="failed", error=error))

    def _hear_of_death(self, job: TrialJob, death: Died) -> None:
        self.deaths[job.attempt] = self.deaths.get(job.attempt, 0) + 1
        has_begun = job.attempt in self.begun
        if not self.interrupts.count and self.deaths[job.attempt] <= self.drive.retries:
            self.drive.watcher.note(f"{death.reason}; the trial is tried once more")
            self.waiting.append(replace(job, resume=has_begun or job.resume))
        elif has_begun:
            self._hear_event(job, _last_event(death, num_interrupts=self.interrupts.count))
        else:
            text = "stopped before the trial began" if death.is_requested else death.reason
            self.outcomes.append(TrialOutcome(job, error=TrialError(text)))

    def end_waiting(self) -> None:
        """Start no other trial, and end those that were to be tried once more."""
        self.deferred.clear()
        while self.waiting:
            job = self.waiting.popleft()
            if job.attempt in self.begun:
                message = "its worker was killed by the system, and the call ended before the trial was retried"
                error = Error(kind=WorkerDiedError.__name__, message=message)
                self._hear_event(job, Failed(status="killed" if self.interrupts.count else "failed", error=error))

    def _hear_event(self, job: TrialJob, event: Event) -> None:
        if isinstance(event, Started) and event.attempt != job.attempt:
            raise TrialError(f"a worker has begun {event.attempt} when it was asked for {job.attempt}")
        journal = _journal(job)
        before = self._record(job, journal)
        if before is not None and isinstance(event, EpochFinished) and before.has_epoch(event.epoch):
            # The journal has it already: it is from the checkpoint, or was trained again after an interruption.
            if event.epoch.epoch > self.num_resumed.get(job.attempt, 0):
                self.drive.watcher.repeated(job, event.epoch, before)
            return
        if isinstance(event, Resumed):
            self.num_resumed[job.attempt] = event.num_epochs
        if isinstance(event, Started | Resumed):
            self.begun.add(job.attempt)
            varied = self.drive.varied.get(job.attempt, "")
            continued = job.continues.spec_id if job.continues else ""
            journal.set_claim(replace(self.drive.claim, varied=varied, continued_spec_id=continued))
        journal.append(event)
        record = before.then(event) if before else Record.of([event])
        self.records[job.attempt] = record
        self.drive.watcher.event(job, event, record)
        if record.status != "running":
            self.drive.complete(journal)
        self.drive.deliver(journal)
        self.drive.listeners.tell(event, record)
        if record.status != "running":
            self.outcomes.append(TrialOutcome(job, self.records.pop(job.attempt)))

    def _record(self, job: TrialJob, journal: Journal) -> Record | None:
        if job.attempt not in self.records and journal.exists():
            self.records[job.attempt] = journal.record()
        return self.records.get(job.attempt)


def _num_failures(outcomes: Iterable[TrialOutcome]) -> int:
    return sum(outcome.is_failure for outcome in outcomes)


def _journal(job: TrialJob) -> Journal:
    return Journal(Path(job.folder))


def _last_event(death: Died, *, num_interrupts: int) -> Failed:
    if death.is_requested:
        return Failed(status="killed", error=Error(kind=StoppedError.__name__, message=death.reason))
    if num_interrupts:
        message = f"its worker was ended before it could stop: {death.reason}"
        return Failed(status="killed", error=Error(kind=StoppedError.__name__, message=message))
    hint = "if memory ran out, try a smaller --batch-size or dataset.image_size"
    return Failed(status="failed", error=Error(kind=WorkerDiedError.__name__, message=death.reason, hint=hint))
