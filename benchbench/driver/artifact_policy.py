"""What is kept of trials that have ended: the files of each, and figures and model of the best of a grid."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.driver.provenance import write_provenance
from benchbench.errors import error_text
from benchbench.protocol.messages import Died, Refused
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.events import WORST_RANK, Failed, Finished
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.driver.plan import Planned
    from benchbench.driver.services import Services
    from benchbench.protocol.jobs import TrialJob


@dataclass(frozen=True)
class ArtifactPolicy:
    """How much is kept of each trial. ``note`` is told of a file that cannot be written.

    ``unwritten`` are trials whose record could not be written when they ended.
    """

    level: ArtifactLevel
    keep_checkpoints: bool
    note: Callable[[str], None]
    unwritten: list[Journal] = field(default_factory=list)

    @property
    def adds_to_best(self) -> bool:
        """Whether the best trial of a grid keeps more than the others: all that there is."""
        return self.level == "light"

    def complete(self, journal: Journal) -> None:
        """Add to a trial's artifacts what the worker leaves to this process.

        A record of an earlier end, after which the trial was resumed, is replaced at any level.
        """
        if not journal.keeps_record(self.level):
            return
        try:
            write_provenance(journal)
        except OSError as error:  # such as a full disk, which is no reason to stop other trials
            self.unwritten.append(journal)
            self.note(f"a trial has no record.json so far: {error_text(error)}; its results are in {journal.folder}")
        if file_names.FIGURES_FOLDER in kept_at(self.level):
            from benchbench.report import run_figures  # 1.4 s, which the record must not wait for

            run_figures.draw(journal, self.note)

    def complete_again(self) -> list[Journal]:
        """Write what could not be written when its trial ended; return the journals of the trials that have it now."""
        written = []
        for journal in self.unwritten:
            with suppress(OSError):
                write_provenance(journal)
                written.append(journal)
        return written

    def drop_checkpoint(self, journal: Journal) -> None:
        """Delete the checkpoint of a finished trial of this call, unless the user asked for it."""
        if not self.keep_checkpoints:
            journal.drop_checkpoint()

    def of_its_call(self, journal: Journal) -> ArtifactPolicy:
        """Return how much is kept of a trial of another call: what that call was asked to keep."""
        claim = journal.claim()
        return self if claim is None else replace(self, level=claim.artifacts, keep_checkpoints=claim.keeps_checkpoint)


class BestTrial:
    """The best trial of a grid by validation so far, the only one whose checkpoint is worth its space."""

    def __init__(self, artifacts: ArtifactPolicy, done: Sequence[Planned], *, cut_off: Collection[str] = ()) -> None:
        """``cut_off`` are attempts that an earlier call finished and could not complete."""
        self._artifacts = artifacts
        self._cut_off = cut_off
        self._done = max(done, key=lambda item: item.rank, default=None)
        self._rank = self._done.rank if self._done else WORST_RANK
        self._journal = self._done.journal if self._done else None

    def complete(self, journal: Journal) -> None:
        """Complete a trial that has ended, and delete the checkpoint that is not needed any more."""
        self._artifacts.complete(journal)
        record = journal.record()
        if record.status != "finished":
            return
        beaten: Journal | None = journal
        if record.rank > self._rank:
            beaten, self._journal, self._rank = self._journal, journal, record.rank
        if beaten is not None:
            self._artifacts.of_its_call(beaten).drop_checkpoint(beaten)

    def give_up_if_changed(self) -> None:
        """Drop the checkpoint of a trial of an earlier call whose figures and model another plugin would make now."""
        journal, changed = self._journal, self._changed
        if journal is not None and changed and journal.has_checkpoint():
            if self._artifacts.adds_to_best and not journal.has_kept("full"):
                self._artifacts.note(f"the best trial gets no figures and no model: {changed} since it was trained")
            self._artifacts.of_its_call(journal).drop_checkpoint(journal)

    @property
    def is_waiting(self) -> bool:
        """Whether the best trial has yet to get its figures and model, and still can."""
        journal = self._journal
        if journal is None or not journal.has_checkpoint() or self._changed:
            return False
        return journal.attempt in self._cut_off or not journal.has_kept("full")

    @property
    def _changed(self) -> str:
        """Which plugins changed since an earlier call trained the best trial, or nothing."""
        done = self._done
        return done.changed_since_end if done is not None and self._journal is done.journal else ""

    @property
    def done_before(self) -> Planned | None:
        """The best trial if an earlier call trained it and this one has to add to it."""
        is_best = self._done is not None and self._journal is not None and self._journal is self._done.journal
        return self._done if is_best and self.is_waiting else None

    def keep_all(self, jobs: Sequence[TrialJob], services: Services) -> Journal | None:
        """Add figures and model to what the best trial keeps, unless an earlier call did.

        Returns its journal if that cannot be done now: the next call needs its checkpoint.
        """
        if self._journal is None or not self.is_waiting or not self._artifacts.adds_to_best:
            return None
        job = next((job for job in jobs if job.attempt == self._journal.attempt), None)
        return None if job is None else _keep_all(job, services, self._artifacts.note)


def _keep_all(job: TrialJob, services: Services, note: Callable[[str], None]) -> Journal | None:
    from benchbench.report import run_figures

    journal, is_kept = Journal(Path(job.folder)), False
    again = replace(job.with_training(artifacts="full"), resume=True, repeats_end=True)
    why = ""
    for _, message in services.executor.run(deque([again])):
        match message:
            case Finished(notes=notes):
                for text in notes:
                    note(f"the best trial: {text}")
                run_figures.draw(journal, note)
                services.tracker.notify(journal)
                is_kept = True
            case Failed() | Refused():
                why = message.error.message
            case Died():
                why = "its process was killed"
    if why:
        note(f"figures and model of the best trial could not be made: {why}; run the same command again to add them")
    return None if is_kept else journal
