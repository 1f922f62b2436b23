"""Finished trials with fewer epochs: where a longer one goes on, or why it cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.config.kinds import describe_changed
from benchbench.errors import counted
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

    from benchbench.protocol.jobs import Resolved
    from benchbench.records.record import Record


@dataclass(frozen=True)
class Shorter:
    """A finished trial that is like another but for its number of epochs, which is smaller."""

    journal: Journal
    record: Record

    def problem(self, item: Resolved) -> str:
        """Return why the longer trial cannot go on from this one; empty if it can."""
        if item.depends_on_length:
            return f"the schedule of {item.spec.scheduler.name} depends on the number of epochs"
        if changed := describe_changed(item.sources, self.record.plugin_sources):
            return f"its {changed} since"
        first, *others = self.record.machines
        if any(replace(other, git_commit=first.git_commit) != first for other in others):
            return "it was resumed on another machine, or with other versions"
        if not self.journal.has_checkpoint():
            return "its checkpoint was not kept (--keep-checkpoints keeps it)"
        return ""

    def describe(self, item: Resolved) -> str:
        """Say that the longer trial goes on from this one, or why it does not."""
        done, problem = self.record.spec.epochs, self.problem(item)
        name = self.journal.shown_id()
        if problem:
            return f"{name} has the first {done} of {item.spec.epochs} epochs, but all are trained again: {problem}"
        epochs = counted(done, "epoch")
        return f"continuing after the {epochs} of {name}, as a new run (--fresh trains all {item.spec.epochs})"


@dataclass(frozen=True)
class FinishedTrials:
    """The finished trials of this folder with the same destination in MLflow."""

    trials: tuple[Shorter, ...]

    @classmethod
    def of(cls, destination: tuple[str, str], *, but: Collection[str]) -> Self:
        """Return them, without the attempts that are named in ``but``."""
        trials = []
        for journal in Journal.all():
            is_ours = journal.goes_to(*destination)
            if is_ours and journal.attempt not in but and (record := journal.try_record()):
                trials.append(Shorter(journal, record))
        return cls(tuple(trial for trial in trials if trial.record.status == "finished"))

    def shorter_than(self, item: Resolved, *, spec_id: str = "") -> Shorter | None:
        """Return the longest of those that are the same trial with fewer epochs, rather one that can be continued.

        If a spec id is given, it is that one or none.
        """
        matching = [
            trial
            for trial in self.trials
            if trial.record.data_digest == item.data_digest
            and spec_id in ("", trial.record.spec_id)
            and trial.record.spec.epochs < item.spec.epochs
            and replace(item.spec, epochs=trial.record.spec.epochs) == trial.record.spec
        ]
        return max(
            matching,
            key=lambda trial: (not trial.problem(item), trial.record.spec.epochs, trial.journal.attempt),
            default=None,
        )
