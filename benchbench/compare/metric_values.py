"""What can be compared: every number of a finished trial by the name that MLflow shows it under, and a few more.

=========================  ==========================================================================
``final_…``, ``test_…``    the trained network on a split; ``test_accuracy/<class>`` for each class
``train_loss`` and so on   the last epoch's, as its training pass went
``train_seconds``          the whole phase, as ``time/train_seconds`` in MLflow; so for every phase
``seconds_per_epoch``      a training pass, the mean over all epochs but the first, which is slower
``images_per_second``      images by seconds of the same epochs
``overfit_epoch``          None if the trial does not overfit
``epochs_to_…=…``          the first epoch that reached a target; None if none did
``seconds_to_…=…``         training and validation up to the end of that epoch
=========================  ==========================================================================

If a trial has a single epoch, its seconds per epoch and images per second are of that one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchbench.config.compare_section import is_of_target, plain_name, target_names
from benchbench.errors import SpecError, closest
from benchbench.records.metrics import (
    METRICS,
    check_target,
    class_metric,
    final_values,
    meaning_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchbench.compare.intervals import Scale
    from benchbench.records.events import Epoch
    from benchbench.records.metrics import Better, Unit
    from benchbench.records.record import Record

PER_EPOCH = ("seconds_per_epoch", "images_per_second")
"""Without the first epoch, if there are others."""


@dataclass(frozen=True)
class Metric:
    """A name, the unit of its values, and which of them are better."""

    name: str
    unit: Unit
    better: Better

    @property
    def is_ratio(self) -> bool:
        """Tell whether two values are compared by their ratio: twice as long means the same on any machine."""
        return self.unit in ("seconds", "images/s")

    @property
    def is_quality(self) -> bool:
        """Tell whether it says how well a trial learned, and so means nothing for one that did not."""
        return self.unit in ("fraction", "nats")

    @property
    def may_be_unreached(self) -> bool:
        """Tell whether a trial without a value went on without reaching it: a target, or overfitting."""
        return self.unit == "epochs" or is_of_target(self.name)

    @property
    def scale(self) -> Scale:
        """Return what its values may be."""
        if self.is_ratio:
            return "ratio"
        return "fraction" if self.unit == "fraction" else "positive" if self.unit in ("nats", "epochs") else "plain"

    @staticmethod
    def named(name: str) -> Metric:
        """Return the metric of that name; raises :class:`SpecError` for an unknown one."""
        meaning = meaning_of(name)
        return Metric(plain_name(name), meaning.unit, meaning.better)


@dataclass(frozen=True)
class Target:
    """A value that a metric of the epochs is to reach: from below, or for a loss from above."""

    metric: str
    value: float

    @staticmethod
    def of(metric: str, value: float) -> Target:
        """Return the target, or raise :class:`SpecError` for what no epoch has and for a value in another unit."""
        check_target(metric, value)
        return Target(metric, value)

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of its two metrics."""
        return target_names(self.metric, self.value)

    def values(self, record: Record) -> dict[str, float | None]:
        """Return how many epochs and seconds it took; None for what was never reached."""
        seconds = 0.0
        for epoch in record.epochs:
            seconds += epoch.train_seconds + epoch.eval_seconds
            if self._is_reached(epoch):
                return dict(zip(self.names, (float(epoch.epoch), seconds), strict=True))
        return dict.fromkeys(self.names)

    def _is_reached(self, epoch: Epoch) -> bool:
        value: float = getattr(epoch, self.metric)
        return value <= self.value if METRICS[self.metric].better == "lower" else value >= self.value


def values_by_attempt(records: Sequence[Record], targets: Sequence[Target] = ()) -> dict[str, dict[str, float | None]]:
    """Return all numbers of trials that are compared with each other; those of :func:`with_first_epoch_only` lack some.

    Such a trial has no seconds per epoch and no images per second.
    """
    unlike = with_first_epoch_only(records)
    return {
        record.attempt: values_of(record, targets) | (dict.fromkeys(PER_EPOCH) if record.attempt in unlike else {})
        for record in records
    }


def with_first_epoch_only(records: Iterable[Record]) -> frozenset[str]:
    """Return the attempts of finished trials that have only the first epoch, which is slower, if others have more."""
    num_epochs = {record.attempt: len(record.epochs) for record in records if record.status == "finished"}
    longest = max(num_epochs.values(), default=0)
    return frozenset(attempt for attempt, number in num_epochs.items() if number == 1 < longest)


def values_of(record: Record, targets: Iterable[Target] = ()) -> dict[str, float | None]:
    """Return all numbers of a finished trial by their metrics' names; an empty table for any other."""
    if record.status != "finished" or record.final is None:
        return {}
    later = record.epochs[1:] or record.epochs
    values: dict[str, float | None] = {
        **final_values(record.final),
        **{f"{phase}_seconds": seconds for phase, seconds in (asdict(record.times) if record.times else {}).items()},
    }
    if later:
        last = record.epochs[-1]
        values |= {name: getattr(last, name) for name, meaning in METRICS.items() if meaning.of_each_epoch}
        values["seconds_per_epoch"] = math.fsum(epoch.train_seconds for epoch in later) / len(later)
        values["images_per_second"] = _images_per_second(later)
    for target in targets:
        values |= target.values(record)
    return values


def _images_per_second(epochs: Sequence[Epoch]) -> float:
    """Return all images divided by all seconds. The mean of the epochs' rates would be something else."""
    seconds = math.fsum(epoch.train_seconds for epoch in epochs)
    images = math.fsum(epoch.images_per_second * epoch.train_seconds for epoch in epochs)
    return images / seconds if seconds else 0.0


def find_metrics(names: Iterable[str], tables: Sequence[Mapping[str, float | None]]) -> tuple[Metric, ...]:
    """Return the metrics of these names, each once; raises :class:`SpecError` for one that no trial has."""
    known = list(dict.fromkeys(name for table in tables for name in table))
    plain_names = {name: plain_name(name if name in known else class_metric(name)) for name in names}
    for name, plain in plain_names.items():
        if plain not in known:
            listed = [other for other in known if "/" not in other]
            more = ", test_accuracy/<class>" if len(listed) < len(known) else ""
            raise SpecError(
                f"no trial has a metric {name!r}",
                hint=" ".join(filter(None, (closest(name, known), f"all metrics: {', '.join(listed)}{more}"))),
            )
    return tuple(Metric.named(plain) for plain in dict.fromkeys(plain_names.values()))
