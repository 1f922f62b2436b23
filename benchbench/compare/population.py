"""Accuracies on images like the test images: seeds and images are both samples.

A comparison over seeds says which configuration is better on this test set. Other images would give other accuracies,
so that "better on images like these" is another claim. It is tested by the two-way random-effects model of studies in
which several readers judge the same cases: seeds are the readers, and images the cases.

D. D. Dorfman, K. S. Berbaum and C. E. Metz, "Receiver operating characteristic rating analysis", Investigative
Radiology 27, 1992; degrees of freedom by S. L. Hillis, "A comparison of denominator degrees of freedom methods for
multiple observer ROC analysis", Statistics in Medicine 26, 2007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from benchbench.compare import formatting
from benchbench.compare.cells import fewest_seeds, p_value_above_luck, tested_trials
from benchbench.compare.configurations import configurations_of, find_configuration, find_keys, one_per_trial
from benchbench.compare.contrasts import pairs
from benchbench.compare.corrections import holm
from benchbench.compare.intervals import Interval
from benchbench.compare.learning import criterion_of, not_learned
from benchbench.compare.metric_values import Metric
from benchbench.config.design import MIN_SEEDS
from benchbench.errors import SpecError
from benchbench.records.metrics import TEST_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchbench.compare.learning import Criterion
    from benchbench.config.compare_section import Question
    from benchbench.records.known_runs import Predictions
    from benchbench.records.record import Record

    Correct = NDArray[np.float64]
    """1 for each image that a trial classifies correctly: seeds by images."""

Kind = Literal["better", "worse", "not distinguishable", "not compared"]


@dataclass(frozen=True, kw_only=True)
class PopulationRow:
    """A configuration against the baseline on images like the test images.

    ``estimate`` is the difference of test accuracies, ``n`` the seeds of both sides, ``seed_fraction`` how much of the
    variance of the estimate is that of seeds: more seeds do not lessen the rest, more test images would. Without enough
    seeds, ``interval``, ``p_value`` and ``seed_fraction`` are None; without any that did what ``criterion`` says, so is
    the estimate.
    ``num_seeds`` and ``luck_p`` are as in :class:`~benchbench.compare.contrasts.Contrast`. ``level`` is what
    ``corrected_p`` was judged at.
    """

    name: str
    n: tuple[int, int]
    num_images: int
    is_paired: bool
    estimate: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    seed_fraction: float | None = None
    kind: Kind = "not compared"
    corrected_p: float | None = None
    luck_p: float | None = None
    num_seeds: int | None = None
    criterion: Criterion = "learned"
    level: float | None = None

    @property
    def words(self) -> str:
        """Return the verdict."""
        if self.estimate is None:
            return f"not compared: no seed of one of the two has finished and {self.criterion}"
        if self.corrected_p is None or self.level is None:
            is_few = min(*self.n, self.num_seeds or 0) < MIN_SEEDS
            few = f"too few seeds, a verdict needs {MIN_SEEDS}"
            return f"not compared: {few if is_few else 'nothing varies between seeds and images'}"
        return f"{self.kind} on images like these ({formatting.p_value(self.corrected_p, self.level)})"


@dataclass(frozen=True)
class PopulationComparison:
    """All configurations but the baseline, named ``baseline``, and the confidence of the intervals."""

    baseline: str
    confidence: float
    rows: tuple[PopulationRow, ...]


def compare_populations(
    records: Iterable[Record], predictions: Mapping[str, Predictions], question: Question
) -> PopulationComparison:
    """Return the comparison on images like the test images.

    ``predictions`` are those of the finished trials, by attempt. Verdicts are corrected for their number (Holm). Raises
    :class:`SpecError` if trials were not tested on the same images.
    """
    trials = one_per_trial(records)
    keys = find_keys([record.spec for record in trials], question.by)
    configurations = configurations_of(trials, keys)
    baseline = find_configuration(configurations, question.baseline, pooled=keys.pooled)
    tested = [predictions[record.attempt] for record in trials if record.status == "finished"]
    if len({(each.images, each.classes) for each in tested}) > 1:
        raise SpecError("the trials were not tested on the same images", hint="compare trials of one dataset")
    at_chance, criterion, accuracy = not_learned(trials), criterion_of(trials), Metric.named(TEST_ACCURACY)
    compared_rows = []
    for configuration in configurations:
        if configuration is not baseline:
            sides = tested_trials(configuration, baseline, accuracy, at_chance)
            correct = [_correct(side, predictions) for side in sides]
            compared = compare_over_images(*correct, confidence=question.confidence, name=configuration.name)
            p_value, by_luck = p_value_above_luck(compared.p_value, sides, at_chance)
            num_seeds = fewest_seeds(*sides)
            compared_rows.append(
                replace(compared, num_seeds=num_seeds, p_value=p_value, luck_p=by_luck, criterion=criterion)
            )
    return PopulationComparison(
        baseline.name, question.confidence, _judged(compared_rows, level=1 - question.confidence)
    )


def compare_over_images(
    ours: Mapping[str, Correct], baseline: Mapping[str, Correct], *, confidence: float, name: str = ""
) -> PopulationRow:
    """Return the difference of two configurations over seeds and images; both have the same images in one order.

    Seeds are paired as in :func:`~benchbench.compare.contrasts.pairs`.
    """
    if not (ours and baseline):
        num_images = next((len(correct) for correct in (*ours.values(), *baseline.values())), 0)
        return PopulationRow(name=name, n=(len(ours), len(baseline)), num_images=num_images, is_paired=False)
    paired = pairs(dict.fromkeys(ours, 0.0), dict.fromkeys(baseline, 0.0))
    a, b = (np.array([side[key] for key in paired or sorted(side)]) for side in (ours, baseline))
    groups = [a - b] if paired else [a, b]
    n, num_images = (len(a), len(b)), a.shape[-1]
    estimate = float(a.mean() - b.mean())
    row = PopulationRow(name=name, n=n, num_images=num_images, is_paired=bool(paired), estimate=estimate)
    if min(n) < MIN_SEEDS or num_images == 1:
        return row
    seed_variances = [float(np.var(each.mean(axis=1), ddof=1)) / len(each) for each in groups]
    interaction_variance = sum(_interaction(each) / each.size for each in groups)
    image_variance = max(
        float(np.var(a.mean(axis=0) - b.mean(axis=0), ddof=1)) / num_images - interaction_variance, 0.0
    )
    variance = sum(seed_variances) + image_variance
    if variance == 0:
        return row
    parts = zip([*seed_variances, image_variance], [*(len(each) for each in groups), num_images], strict=True)
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    error = math.sqrt(variance)
    half = float(stats.t.isf((1 - confidence) / 2, freedom)) * error
    return replace(
        row,
        interval=Interval(max(estimate - half, -1.0), min(estimate + half, 1.0)),
        p_value=float(2 * stats.t.sf(abs(estimate) / error, freedom)),
        seed_fraction=sum(seed_variances) / variance,
    )


def _interaction(values: Correct) -> float:
    """Return the mean square of what neither the seed nor the image explains."""
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    num_seeds, num_images = values.shape
    return float(np.square(rest).sum()) / int((num_seeds - 1) * (num_images - 1))


def _correct(trials: Mapping[str, Record], predictions: Mapping[str, Predictions]) -> dict[str, Correct]:
    return {
        pair_key: np.array(predictions[record.attempt].is_correct, dtype=np.float64)
        for pair_key, record in trials.items()
    }


def _judged(rows: Sequence[PopulationRow], *, level: float) -> tuple[PopulationRow, ...]:
    corrected = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    judged = []
    for row in rows:
        if row.p_value is None:
            judged.append(row)
            continue
        p = next(corrected)
        kind: Kind = "not distinguishable"
        if p < level:
            kind = "better" if (row.estimate or 0.0) > 0 else "worse"
        judged.append(replace(row, kind=kind, corrected_p=p, level=level))
    return tuple(judged)
