"""Our trials against published numbers, row by row.

A published number is one run, not a mean. It is therefore compared with the prediction interval: the range in which
one more run of ours would fall (Hahn and Meeker, "Statistical Intervals", 1991, section 4.7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchbench.compare.configurations import one_per_trial
from benchbench.compare.intervals import Interval, Summary, prediction_interval, summarize
from benchbench.compare.learning import criterion_of, not_learned
from benchbench.compare.metric_values import Target, find_metrics, values_of
from benchbench.config.defaults import CONFIDENCE
from benchbench.config.differences import varying
from benchbench.config.values import describe_values, is_match
from benchbench.errors import SpecError
from benchbench.records.metrics import check_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from benchbench.compare.metric_values import Metric
    from benchbench.config.compare_section import Expected
    from benchbench.records.record import Record

Judgement = Literal["reproduced", "within noise", "differs", "not judged"]


@dataclass(frozen=True)
class PublishedRow:
    """One published number beside ours.

    ``prediction`` is the interval for one new run of ours, or None. ``why`` says why a row is not judged.
    """

    name: str
    metric: Metric
    source: str
    theirs: float
    ours: Summary
    statuses: dict[str, int]
    prediction: Interval | None
    judgement: Judgement
    why: str = ""


def against_published(
    records: Iterable[Record],
    expected: Sequence[Expected],
    *,
    confidence: float = CONFIDENCE,
    targets: Mapping[str, float] | None = None,
) -> tuple[PublishedRow, ...]:
    """Return ours, theirs and a judgement for each published number.

    ========================  ==================================================================================
    ``reproduced``            no farther from our mean than one standard deviation of a new run, which is that of
                              our trials times the root of ``1 + 1/n``
    ``within noise``          farther, but inside the prediction interval
    ``differs``               outside it
    ``not judged``            fewer than two values of ours, values that are all the same and not theirs, or an
                              accuracy or a loss of seeds of which only some learned or, if no trial is better than
                              guessing, only some predict several classes
    ========================  ==================================================================================

    Raises :class:`SpecError` for a row that several configurations belong to, and if no row has a trial at all.
    """
    trials = one_per_trial(records)
    reached = [Target.of(metric, value) for metric, value in (targets or {}).items()]
    values = {record.attempt: values_of(record, reached) for record in trials}
    at_chance, criterion = not_learned(trials), criterion_of(trials)
    known = [table for table in values.values() if table]
    rows = []
    for number, row in enumerate(expected, start=1):
        where = f"[[expected]] {number}"
        (metric,) = find_metrics([row.metric], known)
        check_value(metric.name, row.value, where=where)
        rows.append(_row(row, metric, _matching(row, trials, where), values, at_chance, criterion, confidence))
    if rows and not any(row.statuses for row in rows):
        raise SpecError(
            f"[[expected]] matches no trial: {'; '.join(dict.fromkeys(row.name for row in rows))}",
            hint=f"{len(trials)} trials were looked at",
        )
    return tuple(rows)


def _matching(row: Expected, trials: Sequence[Record], where: str) -> list[Record]:
    matching = [record for record in trials if is_match(record.spec, row.where)]
    others = [key for key in varying([record.spec for record in matching]) if key != "seed"]
    if others:
        raise SpecError(
            f"{where} matches several configurations: {describe_values(row.where, row.where)}",
            hint=f"they differ in {', '.join(others)}: add them to `where`",
        )
    return matching


def _trials_on_newest_images(trials: Sequence[Record]) -> list[Record]:
    """Return the trials on the same images as the newest results; those on others are another experiment."""
    newest = max(trials, key=lambda record: (record.status == "finished", record.started_ms), default=None)
    return [record for record in trials if newest is None or record.data_digest == newest.data_digest]


def _row(
    row: Expected,
    metric: Metric,
    trials: Sequence[Record],
    values: Mapping[str, Mapping[str, float | None]],
    at_chance: Collection[str],
    criterion: str,
    confidence: float,
) -> PublishedRow:
    num_trials, trials = len(trials), _trials_on_newest_images(trials)
    numbers = [values[record.attempt].get(metric.name) for record in trials if record.status == "finished"]
    ours = [number for number in numbers if number is not None and math.isfinite(number)]
    statuses = [record.status for record in trials]
    summary = summarize(ours, confidence=confidence, scale=metric.scale)
    prediction = prediction_interval(ours, confidence=confidence, scale=metric.scale)
    judgement, why = _judge(row.value, summary, prediction)
    if len(ours) < len(numbers):
        judgement, why, prediction = "not judged", f"{len(ours)} of {len(numbers)} trials have a value", None
    learned = [record.attempt not in at_chance for record in trials if record.status == "finished"]
    if metric.is_quality and any(learned) and not all(learned):  # no mean and spread describe both kinds
        judgement, why, prediction = "not judged", f"{sum(learned)} of {len(learned)} trials {criterion}", None
    if len(trials) < num_trials:
        others = f"{num_trials - len(trials)} trials on other images are left out"
        why = f"{why}; {others}" if why else others
    return PublishedRow(
        name=describe_values(row.where, row.where),
        metric=metric,
        source=row.source,
        theirs=row.value,
        ours=summary,
        statuses={status: statuses.count(status) for status in dict.fromkeys(statuses)},
        prediction=prediction,
        judgement=judgement,
        why=why,
    )


def _judge(theirs: float, ours: Summary, prediction: Interval | None) -> tuple[Judgement, str]:
    if ours.mean is None or ours.std is None:
        return "not judged", "no trial of ours has finished" if ours.mean is None else "n = 1 has no interval"
    if prediction is None:
        is_same = math.isclose(theirs, ours.mean, rel_tol=1e-9)
        return ("reproduced", "") if is_same else ("not judged", "our values do not vary")
    if abs(theirs - ours.mean) <= ours.std * math.sqrt(1 + 1 / ours.n):
        return "reproduced", ""
    return ("within noise", "") if theirs in prediction else ("differs", "")
