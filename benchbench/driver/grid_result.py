"""What a grid came to: its trials, how they ended, and where MLflow has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from benchbench.config.differences import describe_spec, varying
from benchbench.records.record import best

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.config.spec import Spec
    from benchbench.driver.plan import Planned
    from benchbench.errors import BenchError
    from benchbench.records.record import MlflowRun, Record

TrialStatus = Literal["finished", "failed", "killed", "refused", "not started"]


@dataclass(frozen=True)
class Trial:
    """One trial of a grid.

    ``is_new`` tells whether this call trained it. ``record`` is None for a trial that never began, and for one that
    finished in another folder, so that only MLflow has its record. ``error`` is what kept it from starting.
    """

    planned: Planned
    status: TrialStatus
    is_new: bool = False
    record: Record | None = None
    error: BenchError | None = None

    @property
    def spec(self) -> Spec:
        """Return what is trained."""
        return self.planned.resolved.spec


@dataclass(frozen=True)
class GridResult:
    """All trials of a grid, in the order of its file.

    ``run`` is the grid's own run in MLflow, or None if there is none. ``has_report`` tells whether that run
    keeps a ``report.html``. ``progress`` tells how an adaptive design went; its trials are those that it asked for, or
    in a dry run all that it may ask for.
    """

    name: str
    trials: tuple[Trial, ...]
    is_interrupted: bool = False
    is_delivered: bool = True
    run: MlflowRun | None = None
    has_report: bool = False
    progress: AdaptiveProgress | None = None

    @property
    def records(self) -> list[Record]:
        """Return the records of all trials that ran from this folder, in this call or before.

        ``is_new`` tells the trials of this call. :func:`~benchbench.tracking.stored_records.load_records` also reads
        those that ran elsewhere, from MLflow.
        """
        return [trial.record for trial in self.trials if trial.record is not None]

    @property
    def best(self) -> Record | None:
        """Return the best of the finished trials by validation, or None if there is none."""
        return best(self.records)

    @property
    def counts(self) -> Mapping[str, int]:
        """Return the number of trials by status."""
        return Counter(trial.status for trial in self.trials)

    @property
    def status(self) -> Literal["finished", "failed", "killed"]:
        """Return ``killed`` if an interrupt ended the grid early, ``failed`` if a trial did not finish."""
        statuses = self.counts.keys()
        is_undecided = self.progress is not None and not self.progress.is_over
        is_short = is_undecided or not self.is_delivered or statuses & {"not started", "refused"}
        if "killed" in statuses or (self.is_interrupted and is_short):
            return "killed"
        return "finished" if statuses <= {"finished"} else "failed"

    @property
    def is_over(self) -> bool:
        """Tell whether nothing ended the grid early: neither an interrupt nor too many failures."""
        return self.status != "killed" and not self.counts["not started"]

    def trial_name(self, trial: Trial) -> str:
        """Return what tells a trial from the others, such as ``optimizer.lr=0.1 seed=2``."""
        return describe_spec(trial.spec, self.varying)

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Return the parameters that tell the trials apart."""
        return varying_names([trial.spec for trial in self.trials])


def varying_names(specs: list[Spec]) -> tuple[str, ...]:
    """Return the parameters that tell specs apart, or ``seed`` if they are all alike."""
    return tuple(varying(specs)) or ("seed",)
