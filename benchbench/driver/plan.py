"""What is left to do: each resolved spec against what earlier calls finished or left half-done.

Nothing here writes. A trial is done if MLflow has a finished run of the same spec id and data digest that nobody
deleted, or if such a trial has finished here and waits to be delivered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchbench.config.kinds import changed_kinds, describe_changed
from benchbench.driver.more_epochs import FinishedTrials
from benchbench.errors import SpecError, counted
from benchbench.protocol.jobs import OtherAttempts
from benchbench.records.events import WORST_RANK, Rank
from benchbench.records.journal import Journal
from benchbench.records.known_runs import FinishedRun, KnownRuns
from benchbench.records.machine import package_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchbench.driver.more_epochs import Shorter
    from benchbench.protocol.jobs import Resolved, TrialJob
    from benchbench.records.calls import Call
    from benchbench.records.record import Record

Action = Literal["run", "resume", "skip"]
_NEW = "new"
_WITHOUT_EPOCH = "interrupted before its first epoch ended"


@dataclass(frozen=True)
class Rules:
    """Which earlier trials count.

    ``again`` ignores finished trials, ``rerun_stale`` those that finished with other code, and ``fresh`` interrupted
    ones. With ``resume_anyway``, an interrupted trial counts even if one of its plugins has changed since.
    """

    again: bool = False
    rerun_stale: bool = False
    fresh: bool = False
    resume_anyway: bool = False

    def __post_init__(self) -> None:
        if self.fresh and self.resume_anyway:
            raise SpecError("--fresh and --resume-anyway contradict each other", hint="give one of them")


@dataclass(frozen=True)
class Planned:
    """What will be done with a trial, and why, in a few words.

    ``stale`` names what changed since it finished, and ``changes`` the plugins that changed since it was interrupted.
    ``finished`` is the run that finished before, trained again or not. ``shorter`` is a finished trial with fewer
    epochs, which this one goes on from if ``is_continuation``. ``is_elsewhere``: another call trains the trial now.
    """

    resolved: Resolved
    action: Action
    why: str
    journal: Journal | None = None
    stale: tuple[str, ...] = ()
    changes: str = ""
    finished: FinishedRun | None = None
    shorter: Shorter | None = None
    is_elsewhere: bool = False

    @property
    def rank(self) -> Rank:
        """How good the trial is that finished before."""
        return self.finished.rank if self.finished else WORST_RANK

    @property
    def changed_since_end(self) -> str:
        """Which plugins changed since the trial finished, such as ``model plugin changed``, or nothing."""
        return describe_changed(self.resolved.sources, self.finished.sources) if self.finished else ""

    @property
    def may_continue(self) -> bool:
        """Whether the trial has no epochs of its own, and may begin with those of a shorter one."""
        if self.action != "resume" or self.journal is None:
            return self.action == "run" and self.finished is None
        claim = self.journal.claim()
        return claim is not None and bool(claim.continued_spec_id) and not self.journal.has_checkpoint()

    @property
    def is_continuation(self) -> bool:
        """Whether the trial goes on after the epochs of a shorter one."""
        return self.shorter is not None and not self.shorter.problem(self.resolved)


def plan(
    resolved: Iterable[Resolved], known: KnownRuns, *, rules: Rules, tracking_uri: str, experiment_id: str
) -> list[Planned]:
    """Return what is to be done for each spec, in their order."""
    destination = (tracking_uri, experiment_id)
    planned = [_plan_one(item, known, rules=rules, destination=destination) for item in resolved]
    if rules.fresh or not any(item.may_continue for item in planned):
        return planned
    finished = FinishedTrials.of(destination, but=known.deleted_attempts)
    return [_after_shorter(item, finished) if item.may_continue else item for item in planned]


def _after_shorter(planned: Planned, finished: FinishedTrials) -> Planned:
    """Return the plan of a trial without epochs of its own, with the shorter one that it goes on from, or could have.

    One that was interrupted goes on from the same as before, or begins anew.
    """
    begun = planned.journal.claim() if planned.journal else None
    shorter = finished.shorter_than(planned.resolved, spec_id=begun.continued_spec_id if begun else "")
    if begun is not None and (shorter is None or shorter.problem(planned.resolved)):
        return Planned(planned.resolved, "run", _WITHOUT_EPOCH)
    if shorter is None:
        return planned
    if begun is not None:
        epochs = counted(shorter.record.spec.epochs, "epoch")
        why = f"interrupted; continuing after the {epochs} of {shorter.journal.shown_id()}"
        return replace(planned, why=why, shorter=shorter)
    return replace(planned, why=shorter.describe(planned.resolved), shorter=shorter)


@dataclass(frozen=True)
class OtherCalls:
    """What other calls finish of the trials that are asked for here.

    ``resolved`` has the trials by spec id, and ``finished_before`` their attempts that had finished when this began.
    """

    resolved: Mapping[str, Resolved]
    destination: tuple[str, str]
    finished_before: Mapping[str, tuple[str, ...]]

    @staticmethod
    def of(resolved: Iterable[Resolved], destination: tuple[str, str]) -> OtherCalls:
        """Begin to look at what other calls finish; before the plan is made, so that nothing is missed."""
        trials = {item.spec.id: item for item in resolved}
        finished = {
            spec_id: tuple(each.attempt for each in attempts(item, destination) if _is_finished(each))
            for spec_id, item in trials.items()
        }
        return OtherCalls(trials, destination, finished)

    def known(self, spec_id: str) -> OtherAttempts:
        """Return what the worker of a trial must know to see that another call has finished it since."""
        return OtherAttempts(self.destination, self.finished_before[spec_id])

    def finished(self, job: TrialJob) -> Journal | None:
        """Return the journal of a trial if another call has finished it since, or None."""
        for journal in reversed(attempts(self.resolved[job.spec.id], self.destination)):
            if journal.attempt not in self.finished_before[job.spec.id] and _is_finished(journal):
                return journal
        return None

    def are_training(self, job: TrialJob, *, call: Call) -> bool:
        """Tell whether another call than ours, which is alive, trains this trial now."""
        return any(
            journal.record().status == "running" and journal.is_in_use() and _call_of(journal) != call
            for journal in attempts(self.resolved[job.spec.id], self.destination)
        )


def check_resumable(planned: Iterable[Planned], rules: Rules) -> None:
    """Raise :class:`~benchbench.errors.SpecError` if a plugin changed since a trial of the plan was interrupted."""
    changed = [item for item in planned if item.action == "resume" and item.changes]
    if changed and not rules.resume_anyway:
        spec = changed[0].resolved.spec
        which = f"{len(changed)} interrupted trials" if len(changed) > 1 else "an interrupted trial"
        raise SpecError(
            f"cannot resume {which}: {changed[0].changes} ({spec.model.name} on {spec.dataset.name}, seed {spec.seed})",
            hint="--fresh starts over; --resume-anyway resumes with the changed plugin and notes it in the record",
        )


def staleness(sources: Mapping[str, str], versions: Mapping[str, str], run: FinishedRun) -> tuple[str, ...]:
    """Return what differs between now and a finished run: plugin sources by kind, and package versions."""
    changed = [f"{kind} plugin changed" for kind in changed_kinds(sources, run.sources)]
    moved = [
        f"{name} {run.versions[name]} -> {version}"
        for name, version in versions.items()
        if run.versions.get(name, version) != version
    ]
    return (*changed, *moved)


def _is_stale(item: Resolved, journal: Journal) -> bool:
    """Tell whether other code or versions began an attempt."""
    record = journal.record()
    return bool(staleness(item.sources, package_versions(), _as_run(record)))


def _as_run(record: Record) -> FinishedRun:
    wall_seconds = record.times.wall if record.times else None
    return FinishedRun("", record.plugin_sources, record.machine.versions, wall_seconds, record.rank)


def _plan_one(item: Resolved, known: KnownRuns, *, rules: Rules, destination: tuple[str, str]) -> Planned:
    journals = [journal for journal in attempts(item, destination) if journal.attempt not in known.deleted_attempts]
    run = _finished(item, known, journals)
    is_interrupted = bool(journals) and journals[-1].is_interrupted()
    if run is not None and not rules.again:
        stale = staleness(item.sources, package_versions(), run)
        if not (stale and rules.rerun_stale):
            return Planned(
                item,
                "skip",
                f"finished, stale: {', '.join(stale)}" if stale else "finished",
                journal=next((journal for journal in reversed(journals) if _is_finished(journal)), None),
                stale=stale,
                finished=run,
            )
        if rules.fresh or not is_interrupted or _is_stale(item, journals[-1]):
            return Planned(item, "run", f"stale: {', '.join(stale)}", stale=stale, finished=run)
    if journals and not rules.fresh and _is_finished(journals[-1]) and journals[-1].is_cut_off():
        return Planned(
            item, "skip", "finished, but the command was killed before its end", journal=journals[-1], finished=run
        )
    if is_interrupted and not rules.fresh:
        return _resumed(item, journals[-1])
    why = "finished before; training again, as a new run" if run else _after(journals, is_interrupted=is_interrupted)
    is_elsewhere = bool(journals) and not is_interrupted and journals[-1].record().status == "running"
    return Planned(item, "run", why, finished=run, is_elsewhere=is_elsewhere)


def _after(journals: Sequence[Journal], *, is_interrupted: bool) -> str:
    """Return why a trial that has not finished begins anew."""
    if not journals:
        return _NEW
    if is_interrupted:
        return "interrupted; starting over"
    whys = {"failed": "failed before", "running": "running in another process"}
    return whys.get(journals[-1].record().status, "finished before, but MLflow has no run of it any more")


def _resumed(item: Resolved, journal: Journal) -> Planned:
    record = journal.record()
    changed, num_epochs = describe_changed(item.sources, record.plugin_sources), len(record.epochs)
    if changed and not num_epochs:
        return Planned(item, "run", _WITHOUT_EPOCH)
    changes = f"{changed} since epoch {num_epochs}" if changed else ""
    until = f"interrupted after epoch {num_epochs}" if num_epochs else _WITHOUT_EPOCH
    why = "; ".join(filter(None, (until, changed)))
    return Planned(item, "resume", why, journal=journal, changes=changes)


def attempts(item: Resolved, destination: tuple[str, str]) -> list[Journal]:
    """Return the attempts at a spec with the same images and for the same experiment in MLflow, oldest first."""
    journals = Journal.attempts(item.spec.id)
    return [journal for journal in journals if journal.is_of(destination, data_digest=item.data_digest)]


def _finished(item: Resolved, known: KnownRuns, journals: Sequence[Journal]) -> FinishedRun | None:
    run = known.finished.get((item.spec.id, item.data_digest))
    if run is not None:
        return run
    for journal in reversed(journals):
        record = journal.record()
        if record.status == "finished" and not journal.is_marked_delivered():
            return _as_run(record)
    return None


def _call_of(journal: Journal) -> Call | None:
    claim = journal.claim()
    return claim.call if claim else None


def _is_finished(journal: Journal) -> bool:
    return journal.record().status == "finished"
