"""Which trials of a grid are trained next: all of them, or those that the next look of an adaptive design needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.driver.plan import Planned
    from benchbench.driver.watcher import Watcher
    from benchbench.protocol.jobs import TrialJob
    from benchbench.records.record import Record

_NOT_READY = "some of its trials could not start; fix the problem, or remove their configurations from the file"


class NextTrials(ABC):
    """What is trained next. ``wanted`` are the trials of the plan that were asked for so far."""

    progress: AdaptiveProgress | None = None

    def __init__(self, wanted: Sequence[Planned], jobs: Mapping[str, TrialJob]) -> None:
        self.wanted: tuple[Planned, ...] = tuple(wanted)
        self._left = dict(jobs)

    @abstractmethod
    def next(self) -> list[TrialJob]:
        """Return what to train next, once the jobs before have ended; nothing at the end."""

    def _take(self, spec_ids: Sequence[str]) -> list[TrialJob]:
        return [self._left.pop(spec_id) for spec_id in spec_ids if spec_id in self._left]


class AllTrials(NextTrials):
    """All trials that are left to do, at once."""

    def next(self) -> list[TrialJob]:
        """Return all jobs, and then nothing."""
        return self._take(list(self._left))


class AdaptiveTrials(NextTrials):
    """Look after look: a look is taken once all of its trials have ended, however they did."""

    def __init__(
        self,
        plan: Sequence[Planned],
        jobs: Mapping[str, TrialJob],
        progress: AdaptiveProgress,
        record_of: Callable[[Planned], Record | None],
        watcher: Watcher,
    ) -> None:
        super().__init__((), jobs)
        self.progress: AdaptiveProgress = progress
        self._plan = tuple(plan)
        self._record_of = record_of
        self._records: dict[str, Record] = {}
        self._watcher = watcher

    def next(self) -> list[TrialJob]:
        """Return what the next look needs, after the looks that need nothing more."""
        while not self.progress.is_over:
            needed = [item for item in self._plan if self.progress.wants(item.resolved.spec)]
            self._want(needed)
            if batch := self._take([item.resolved.spec.id for item in needed]):
                return batch
            known = self._known()
            if not self.progress.is_ready(known):
                self.progress = replace(self.progress, obstacle=_NOT_READY)
                return []
            self.progress = self.progress.then(known)
            self._watcher.looked(self.progress)
        return []

    def _want(self, needed: Sequence[Planned]) -> None:
        ids = {item.resolved.spec.id for item in (*self.wanted, *needed)}
        self.wanted = tuple(item for item in self._plan if item.resolved.spec.id in ids)

    def _known(self) -> list[Record]:
        """Return the records of all trials so far; each is read once."""
        for item in self.wanted:
            spec_id = item.resolved.spec.id
            if spec_id not in self._records and (record := self._record_of(item)) is not None:
                self._records[spec_id] = record
        return list(self._records.values())
