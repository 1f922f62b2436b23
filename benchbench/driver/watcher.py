"""The interface that receives the progress of trials and timings, such as for the terminal."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.driver.plan import Planned
    from benchbench.protocol.jobs import TimingJob, TrialJob
    from benchbench.protocol.timing_messages import Round
    from benchbench.records.events import Epoch, Event
    from benchbench.records.record import Record


class Watcher:
    """What :func:`~benchbench.driver.run.run`, ``grid`` and ``time`` report while they work.

    The methods do nothing, except that :meth:`fault` calls :meth:`note`. Subclasses override those that they need.
    :meth:`note` may be called from another thread, the others are called from the thread that trains.
    """

    def status(self, text: str) -> None:
        """Receive what is done before the first trial, such as ``opening the tracking store``."""

    def note(self, text: str) -> None:
        """Receive a line that is not a result, such as what a plugin prints or trouble with the tracking store."""

    def fault(self, text: str, error: Exception) -> None:
        """Receive a note on an error that cost no result, and may be a mistake of ours."""
        del error
        self.note(text)

    def downloading(self, dataset: str, num_bytes: int, total_bytes: int) -> None:
        """Receive how much of a dataset has been downloaded."""

    def decoding(self, text: str, num_decoded: int, num_images: int) -> None:
        """Receive how many images of a dataset have been decoded."""

    def looked(self, progress: AdaptiveProgress) -> None:
        """Receive the progress of an adaptive design: before its plan is made, and after each look."""

    def planned(self, plan: Sequence[Planned], *, num_jobs: int) -> None:
        """Receive what will be done with each trial, ``num_jobs`` at a time."""

    def training(
        self, jobs: Sequence[TrialJob], num_trained: Callable[[], Mapping[str, int]]
    ) -> AbstractContextManager[None]:
        """Return a context in which the jobs run.

        ``num_trained`` gives the batches trained so far in each running trial, by the folder of its attempt.
        """
        del jobs, num_trained
        return nullcontext()

    def trial_status(self, job: TrialJob, text: str) -> None:
        """Receive what a trial is busy with."""

    def trial_progress(self, job: TrialJob, text: str, done: int, total: int) -> None:
        """Receive how many images a trial has decoded before it begins, or other work of many pieces."""

    def event(self, job: TrialJob, event: Event, record: Record) -> None:
        """Receive an event of a trial, and the record that includes it."""

    def repeated(self, job: TrialJob, epoch: Epoch, record: Record) -> None:
        """Receive an epoch that was trained again since it ended after the checkpoint; the record has it already."""

    def finished_elsewhere(self, job: TrialJob, record: Record) -> None:
        """Receive a trial that is not trained here, since another call has finished it meanwhile."""

    def timing(self, job: TimingJob) -> AbstractContextManager[None]:
        """Return a context in which the variants are timed."""
        del job
        return nullcontext()

    def timing_status(self, text: str) -> None:
        """Receive which variant is next."""

    def timing_progress(self, text: str, done: int, total: int) -> None:
        """Receive how much work, such as decoding, is done before the variants are timed."""

    def warmed(self) -> None:
        """Receive a call after each variant's warm-up."""

    def round(self, finished: Round) -> None:
        """Receive a finished round of all variants."""
