"""One metric of one configuration: its values, their summary, and the contrast with the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare.contrasts import contrast, permutation_p
from benchbench.compare.intervals import Interval, Summary, summarize
from benchbench.compare.learning import luck_p
from benchbench.compare.verdicts import Verdict, not_compared
from benchbench.config.design import MIN_SEEDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.compare.configurations import Configuration
    from benchbench.compare.contrasts import Contrast, Values
    from benchbench.compare.learning import Criterion
    from benchbench.compare.metric_values import Metric
    from benchbench.records.record import Record

Numbers = dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric of one configuration.

    ``values`` has the value of each finished trial by seed, or None if the trial never reached the target. Such trials
    ran for at least ``limit`` epochs or seconds. ``summary`` only covers trials with a value and, if only some seeds of
    the row learned, those that did. ``median`` counts trials without one as longer than all others, and is None if the
    median trial has none. ``among`` says of which seeds alone the contrast is, such as ``seeds that learned``, and is
    empty if it is of all.
    """

    metric: str
    values: Numbers
    limit: float | None
    summary: Summary
    median: float | None
    contrast: Contrast | None
    verdict: Verdict
    among: str = ""

    @property
    def num_reached(self) -> int:
        """Return how many trials have a value."""
        return sum(value is not None for value in self.values.values())

    @property
    def median_above(self) -> float | None:
        """Return a lower bound of the median, if too few trials have a value for the median itself."""
        if self.median is not None or self.limit is None:
            return None
        known = sorted(value for value in self.values.values() if value is not None)
        return (known[-1] + self.limit) / 2 if known and 2 * len(known) == len(self.values) else self.limit


@dataclass(frozen=True, kw_only=True)
class CellMaker:
    """Makes the cells of a table: ``numbers`` are by attempt, and ``at_chance`` names attempts that did not learn.

    ``criterion`` is what the others did.

    If a t test shows a difference, a permutation test is made as well, provided that it could reach ``level``, the
    level of a verdict in this table.
    """

    baseline: Configuration
    numbers: Mapping[str, Numbers]
    at_chance: frozenset[str]
    criterion: Criterion
    confidence: float
    level: float

    def cell(self, configuration: Configuration, metric: Metric) -> Cell:
        """Return the cell of a configuration, with a verdict only if it cannot be tested."""
        values = self._values(configuration.finished, metric)
        tested, _ = tested_trials(configuration, configuration, metric, self.at_chance)
        known = [value for value in self._values(tested, metric).values() if value is not None]
        finite = [value for value in known if math.isfinite(value)]
        summary = summarize(finite, confidence=self.confidence, scale=metric.scale)
        cell = Cell(
            metric=metric.name,
            values=values,
            limit=_limit(values, configuration.finished, metric),
            summary=summary,
            median=_median(values) if metric.may_be_unreached else None,
            contrast=None,
            verdict=Verdict("baseline", "baseline"),
        )
        return cell if configuration is self.baseline else self._against_baseline(cell, configuration, metric)

    def _against_baseline(self, cell: Cell, configuration: Configuration, metric: Metric) -> Cell:
        sides = tested_trials(configuration, self.baseline, metric, self.at_chance)
        ours, theirs = (self._values(side, metric) for side in sides)
        is_mixed = sides != (configuration.finished, self.baseline.finished)
        among = f"seeds that {self.criterion}" if is_mixed else ""
        why = _obstacle(ours, theirs, metric, ending=self.criterion if is_mixed else "finished")
        if why:
            return replace(cell, verdict=not_compared(why), among=among)
        change = self._contrast(_whole(ours), _whole(theirs), metric)
        at_chance = self.at_chance if metric.is_quality else frozenset[str]()
        p_value, by_luck = p_value_above_luck(change.p_value, sides, at_chance)
        change = replace(change, num_seeds=fewest_seeds(*sides), p_value=p_value, luck_p=by_luck)
        return replace(cell, contrast=change, among=among)

    def _contrast(self, ours: Values, theirs: Values, metric: Metric) -> Contrast:
        change = contrast(ours, theirs, as_ratio=metric.is_ratio, confidence=self.confidence)
        if change.p_value is not None and change.p_value < 1 - self.confidence:
            permuted = permutation_p(ours, theirs, as_ratio=metric.is_ratio, level=self.level)
            change = replace(change, permutation_p=permuted)
        if metric.unit == "fraction" and change.interval:
            # A difference of fractions is never outside of -1 to 1, so clipping the interval loses nothing.
            change = replace(change, interval=Interval(max(change.interval.low, -1.0), min(change.interval.high, 1.0)))
        return change

    def _values(self, trials: Mapping[str, Record], metric: Metric) -> Numbers:
        return {pair_key: self.numbers[record.attempt].get(metric.name) for pair_key, record in trials.items()}


def tested_trials(
    configuration: Configuration, baseline: Configuration, metric: Metric, at_chance: frozenset[str]
) -> tuple[dict[str, Record], dict[str, Record]]:
    """Return the finished trials of two configurations that a metric is compared over, by what they are paired by.

    If only some seeds of one of them learned, accuracies and losses are those of the seeds that did.
    """
    sides = configuration.finished, baseline.finished
    is_mixed = any(len({record.attempt in at_chance for record in side.values()}) > 1 for side in sides)
    if not (metric.is_quality and is_mixed):
        return sides
    ours, theirs = (
        {pair_key: record for pair_key, record in side.items() if record.attempt not in at_chance} for side in sides
    )
    return ours, theirs


def fewest_seeds(*sides: Mapping[str, Record]) -> int:
    """Return how many different seeds each of several sides has at least.

    Configurations that are pooled in a row are no seeds: their values say nothing about new ones.
    """
    return min(len({record.spec.seed for record in side.values()}) for side in sides)


def p_value_above_luck(
    p_value: float | None, sides: tuple[Mapping[str, Record], Mapping[str, Record]], at_chance: frozenset[str]
) -> tuple[float | None, float | None]:
    """Return the p value, at least the chance that learning was luck, and that chance; None for too few seeds."""
    if p_value is None or fewest_seeds(*sides) < MIN_SEEDS:
        return None, None
    by_luck = luck_p(*sides, at_chance)
    return max(p_value, by_luck or 0.0), by_luck


def _whole(values: Numbers) -> Values:
    return {pair_key: value for pair_key, value in values.items() if value is not None}


def _median(values: Numbers) -> float | None:
    """Return the median, counting missing values as longer than all others; None if it is missing itself."""
    ordered = sorted(math.inf if value is None else value for value in values.values())
    if not ordered:
        return None
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return middle if math.isfinite(middle) else None


def _limit(values: Numbers, finished: Mapping[str, Record], metric: Metric) -> float | None:
    """Return how long the shortest trial without a value ran; None if the metric is not such a time."""
    unreached = [finished[pair_key] for pair_key, value in values.items() if value is None]
    if not (unreached and metric.may_be_unreached):
        return None
    if metric.unit == "epochs":
        return float(min(len(record.epochs) for record in unreached))
    return min(math.fsum(epoch.train_seconds + epoch.eval_seconds for epoch in record.epochs) for record in unreached)


def _obstacle(ours: Numbers, baseline: Numbers, metric: Metric, *, ending: str) -> str:
    """Return why two sets of values cannot be tested against each other, or an empty text."""
    for values, whose in ((ours, "this row"), (baseline, "the baseline")):
        if not values:
            return f"no trial of {whose} has {ending}"
    if None in ours.values() or None in baseline.values():
        known, known_baseline = (
            f"{sum(value is not None for value in values.values())} of {len(values)}" for values in (ours, baseline)
        )
        kind = "reached by" if metric.may_be_unreached else "known of"
        return f"{kind} {known} trials, in the baseline {kind.rsplit(maxsplit=1)[-1]} {known_baseline}"
    numbers = [*_whole(ours).values(), *_whole(baseline).values()]
    if not all(map(math.isfinite, numbers)):
        return "a value is not finite"
    return "a ratio needs values above 0" if metric.is_ratio and min(numbers) <= 0 else ""
