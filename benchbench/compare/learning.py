"""Seeds that learned, and those that did not: trials that failed, or are no better than guessing.

If some seeds of a configuration learn and others do not, a mean of both describes neither, and no t test holds.
How many learned is then a result of its own, with Wilson's interval and Fisher's exact test, and accuracies are those
of the seeds that learned. If no trial is better than guessing, none learned, and those that predict several classes
are counted and compared instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from benchbench.compare.guessing import (
    accuracy,
    best_guess,
    chance,
    is_better_than_guessing,
    least_by_luck,
    predicts_one_class,
)
from benchbench.compare.images import records_by_dataset
from benchbench.compare.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchbench.compare.configurations import Configuration
    from benchbench.compare.intervals import Interval
    from benchbench.records.record import Record

Criterion = Literal["learned", "predicted several classes"]
"""What seeds must have done to count."""

ENDED = ("finished", "failed")
"""How trials end that do not go on: interrupted ones are resumed."""

NEAR_CHANCE = 0.1, 0.25
"""Limits of the guessing threshold above chance, as fractions of the median gain of trials that beat guessing."""


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How many seeds of a configuration learned, of all that ended, and how the others ended.

    If no trial of the comparison is better than guessing, ``criterion`` is ``predicted several classes``, and
    ``num_learned`` is the number of seeds that did.
    ``interval`` is Wilson's, of the fraction that learned. ``p_value`` is Fisher's against the baseline, None if there
    is no baseline or the numbers are too small to reach the level, and ``corrected_p`` the same after correction.
    """

    num_learned: int
    num_ended: int
    others: dict[str, int]
    interval: Interval | None
    criterion: Criterion = "learned"
    p_value: float | None = None
    corrected_p: float | None = None
    verdict: str = ""

    @property
    def all_learned(self) -> bool:
        """Tell whether no seed is missing."""
        return self.num_learned == self.num_ended


def not_learned(records: Sequence[Record]) -> frozenset[str]:
    """Return the attempts of the finished trials that are no better than guessing.

    Such a trial predicts a single class, or its :func:`~benchbench.compare.guessing.accuracy` is near chance, 1 /
    classes: within what 99 of 100 guesses reach on as many images, but no less than a tenth and no more than a quarter
    of the way to the median of the trials on the same dataset, with as many classes, that are beyond that. It is also
    below what 99 of 100 models as good as that median reach: with few test images, a trial that learned may be near
    chance by bad luck. If no trial on any dataset is better than guessing, only those that predict a single class are
    returned.
    """
    finished = [record for record in records if record.status == "finished" and record.final]
    if criterion_of(finished) != "learned":
        return frozenset(record.attempt for record in finished if predicts_one_class(record))
    groups = [group for of_name in records_by_dataset(finished).values() for group in _by_chance(of_name)]
    return frozenset(attempt for group in groups for attempt in _at_chance(group))


def criterion_of(records: Iterable[Record]) -> Criterion:
    """Return what seeds must have done to count in a comparison of these trials."""
    finished = (record for record in records if record.status == "finished")
    return "learned" if any(map(is_better_than_guessing, finished)) else "predicted several classes"


def _by_chance(records: Iterable[Record]) -> Iterable[list[Record]]:
    """Return trials by the number of their classes, which a parameter of a dataset may choose."""
    groups: dict[float, list[Record]] = defaultdict(list)
    for record in records:
        groups[chance(record)].append(record)
    return groups.values()


def _at_chance(records: Sequence[Record]) -> Iterable[str]:
    """Return which of these trials, which have one dataset and number of classes, are at chance."""
    gains = {record.attempt: accuracy(record) - chance(record) for record in records}
    guesses = {record.attempt: best_guess(record) - chance(record) for record in records}
    beyond = [gains[record.attempt] for record in records if is_better_than_guessing(record)]
    if not beyond:
        return [record.attempt for record in records]
    median = float(np.median(beyond))
    low, high = (fraction * median for fraction in NEAR_CHANCE)
    return [
        record.attempt
        for record in records
        if predicts_one_class(record)
        or (
            gains[record.attempt] <= np.clip(guesses[record.attempt], low, high)
            and accuracy(record) < least_by_luck(record, chance(record) + median)
        )
    ]


def count_learned(
    configuration: Configuration, at_chance: frozenset[str], criterion: Criterion, *, confidence: float
) -> Learning:
    """Return how many seeds of a configuration learned. Trials that still run, or were interrupted, have not ended."""
    unlike = "at chance" if criterion == "learned" else "with one class"
    endings = Counter(
        unlike if record.attempt in at_chance else record.status
        for record in configuration.trials.values()
        if record.status in ENDED
    )
    num_learned, num_ended = endings.pop("finished", 0), sum(endings.values())
    num_ended += num_learned
    interval = wilson(num_learned / num_ended, num_ended, confidence=confidence) if num_ended else None
    return Learning(
        num_learned=num_learned, num_ended=num_ended, others=dict(endings), interval=interval, criterion=criterion
    )


def fisher_p(ours: Learning, baseline: Learning, *, level: float) -> float | None:
    """Return the p value of Fisher's exact test of two rates; None if no outcome of so many could reach the level.

    What cannot reach it is no comparison and costs no correction: Tarone, "A modified Bonferroni method for discrete
    data", Biometrics 46, 1990.
    """
    if ours.all_learned and baseline.all_learned:
        return None
    learned = ours.num_learned + baseline.num_learned
    all_ours = min(learned, ours.num_ended)
    all_theirs = max(0, learned - baseline.num_ended)
    best = min(_fisher(count, learned, ours, baseline) for count in (all_ours, all_theirs))
    return _fisher(ours.num_learned, learned, ours, baseline) if best < level else None


def luck_p(ours: Mapping[str, Record], baseline: Mapping[str, Record], at_chance: frozenset[str]) -> float | None:
    """Return how often equal configurations have all seeds of one learn and none of the other.

    None if the seeds do not split that way. It is the largest such probability over all rates of learning: Barnard,
    "Significance tests for 2x2 tables", Biometrika 34, 1947. A t test takes such accuracies for two groups with little
    spread, however few seeds there are.
    """
    stuck = [[record.attempt in at_chance for record in side.values()] for side in (ours, baseline)]
    if not all(stuck) or sorted(map(set, stuck), key=str) != [{False}, {True}]:
        return None
    n, m = map(len, stuck)
    part = np.linspace(0, 1, 1001)
    return float(np.max(part**n * (1 - part) ** m + part**m * (1 - part) ** n))


def _fisher(ours: int, learned: int, one: Learning, other: Learning) -> float:
    table = [[ours, one.num_ended - ours], [learned - ours, other.num_ended - (learned - ours)]]
    return float(stats.fisher_exact(table).pvalue)
