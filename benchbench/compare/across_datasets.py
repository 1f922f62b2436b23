"""Configurations on several datasets: a comparison on each, and ranks, profiles and aggregates over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchbench.compare.aggregates import interquartile_mean, probability_of_improvement
from benchbench.compare.comparison import compare_records
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.images import records_by_dataset, versions_of_images
from benchbench.compare.profiles import profiles
from benchbench.compare.ranks import rank_over_datasets
from benchbench.config.compare_section import SECONDS_TO
from benchbench.config.differences import varying
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchbench.compare.aggregates import Scores
    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.intervals import Interval
    from benchbench.compare.metric_values import Metric
    from benchbench.compare.profiles import Profile
    from benchbench.compare.ranks import Ranks
    from benchbench.config.compare_section import Question
    from benchbench.records.record import Record

MIN_CONFIGURATIONS = 2


@dataclass(frozen=True)
class Aggregate:
    """One configuration over all datasets; the baseline has no probability of improvement over itself."""

    interquartile_mean: float
    interval: Interval
    improvement: float | None
    improvement_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class DatasetComparison:
    """Comparisons by dataset, and over all datasets those configurations that were trained on each of them.

    ``ranks`` and ``aggregates`` are of the first metric, ``profiles`` of the seconds to each target and None without
    targets. ``missing`` names configurations that lack a dataset. ``differing`` are keys, other than the dataset's own,
    in which trials of one name differ from dataset to dataset. ``warnings`` say if the baseline over all datasets is
    another than on the first one.
    """

    comparisons: dict[str, Comparison]
    configurations: tuple[str, ...]
    baseline: str
    metric: Metric
    ranks: Ranks
    aggregates: tuple[Aggregate, ...]
    profiles: tuple[Profile, ...] | None
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def compare_datasets(records: Iterable[Record], question: Question) -> DatasetComparison:
    """Return the comparison on each dataset and over all of them.

    The verdicts of each dataset are corrected for the comparisons on it. Raises :class:`SpecError` for fewer than two
    datasets, or fewer than two configurations that have results on all of them, for a baseline of the question that has
    none on one of them, for images of one dataset that have changed between trials, and for a first metric by which
    configurations cannot be ranked.
    """
    by_dataset = records_by_dataset(one_per_trial(records))
    if len(by_dataset) < 2:  # noqa: PLR2004 - there is nothing to rank over
        raise SpecError("all trials are of the same dataset", hint="bench compare without --datasets compares them")
    finished = (record for records in by_dataset.values() for record in records if record.status == "finished")
    changed = versions_of_images(finished)
    if changed:
        raise SpecError(
            f"the images of a dataset have changed between trials: {', '.join(changed.values())}",
            hint="bench compare without --datasets compares the trials on each version of them",
        )
    keys = tuple(key for key in question.by if key.partition(".")[0] != "dataset")
    asked = question.model_copy(update={"by": keys})
    comparisons = _compare_each(by_dataset, asked)
    tables = [{row.name: row for row in comparison.rows} for comparison in comparisons.values()]
    names = [name for name in tables[0] if all(_has_results(table.get(name)) for table in tables)]
    every = dict.fromkeys(name for table in tables for name in table)
    if len(names) < MIN_CONFIGURATIONS:
        raise SpecError(
            "fewer than two configurations have results on every dataset",
            hint=f"configurations: {'; '.join(every)}; --by KEY says what makes one",
        )
    missing = tuple(name for name in every if name not in names)
    overall = _compare_overall(comparisons, tables, names, missing, _differing(list(by_dataset.values())))
    return replace(overall, warnings=_other_baseline_warnings(overall, is_named=bool(question.baseline)))


def _other_baseline_warnings(overall: DatasetComparison, *, is_named: bool) -> tuple[str, ...]:
    """Return a warning if the baseline of the first dataset lacks results on another; one that was named must not."""
    (first, comparison), *_ = overall.comparisons.items()
    baseline = comparison.baseline
    if overall.baseline == baseline.name:
        return ()
    without = ", ".join(
        name
        for name, each in overall.comparisons.items()
        if not any(row.name == baseline.name and _has_results(row) for row in each.rows)
    )
    if is_named:
        raise SpecError(
            f"the baseline {baseline.display_name} has no results on {without}",
            hint=f"these have results on every dataset: {'; '.join(overall.configurations)}",
        )
    text = (
        f"{baseline.display_name}, the baseline of {first}, has no results on {without}: over all datasets, the"
        f" baseline is {overall.baseline}"
    )
    return (text,)


def _compare_each(by_dataset: Mapping[str, Sequence[Record]], question: Question) -> dict[str, Comparison]:
    """Return the comparison on each dataset; without a baseline of the question, all have that of the first one."""
    compared = {name: compare_records(records, question) for name, records in by_dataset.items()}
    baseline = next(iter(compared.values())).baseline
    for name, comparison in compared.items():
        if question.baseline or comparison.baseline.name == baseline.name:
            continue
        row = next((row for row in comparison.rows if row.name == baseline.name), None)
        if row is None:
            own = comparison.baseline.display_name
            warning = f"no trial has the baseline {baseline.display_name}: here it is {own}"
            compared[name] = replace(comparison, warnings=(*comparison.warnings, warning))
        else:  # the first row is the baseline
            first = sorted(by_dataset[name], key=lambda record: not row.has(record.spec))
            compared[name] = compare_records(first, question)
    return compared


def _differing(by_dataset: Sequence[Sequence[Record]]) -> tuple[str, ...]:
    """Return the keys that vary between datasets but not within one: the names of configurations do not show them."""
    inside = {key for records in by_dataset for key in varying([record.spec for record in records])}
    between = varying([record.spec for records in by_dataset for record in records])
    return tuple(key for key in between if key not in inside and key.partition(".")[0] != "dataset")


def _compare_overall(
    comparisons: dict[str, Comparison],
    tables: Sequence[Mapping[str, Row]],
    names: Sequence[str],
    missing: tuple[str, ...],
    differing: tuple[str, ...],
) -> DatasetComparison:
    first = next(iter(comparisons.values()))
    metric, confidence = first.metrics[0], first.confidence
    _check_rankable(metric, [table[name] for table in tables for name in names])
    scores = {name: [_values(table[name], metric.name) for table in tables] for name in names}
    baseline = first.baseline.name if first.baseline.name in names else names[0]
    higher = metric.better != "lower"
    means = np.array([[values.mean() for values in configuration_values] for configuration_values in scores.values()])
    return DatasetComparison(
        comparisons=comparisons,
        configurations=tuple(names),
        baseline=baseline,
        metric=metric,
        ranks=rank_over_datasets(means, higher_is_better=higher, confidence=confidence),
        aggregates=tuple(_aggregates(scores, baseline, higher_is_better=higher, confidence=confidence)),
        profiles=_target_profiles(tables, names, first.metrics),
        missing=missing,
        differing=differing,
    )


def _check_rankable(metric: Metric, rows: Iterable[Row]) -> None:
    """Raise :class:`SpecError` for a metric of which no value is better, or that finished trials have no value of.

    The other trials alone would favour configurations that rarely succeed.
    """
    if metric.better == "neither":
        raise SpecError(
            f"configurations cannot be ranked by {metric.name}: neither high nor low values are better",
            hint="name another metric first, such as test_accuracy",
        )
    for row in rows:
        number = len(_values(row, metric.name))
        if number < row.statuses.get("finished", 0):
            raise SpecError(
                f"configurations cannot be ranked by {metric.name}: {number} of {row.statuses['finished']} trials of"
                f" {row.display_name} have a value",
                hint="name another metric first, such as test_accuracy; performance profiles count targets that were"
                " not reached",
            )


def _aggregates(
    scores: Mapping[str, Scores], baseline: str, *, higher_is_better: bool, confidence: float
) -> Iterator[Aggregate]:
    """Yield the aggregate of each configuration, given its values on each dataset."""
    for name, values in scores.items():
        mean, interval = interquartile_mean(values, confidence=confidence)
        if name == baseline:
            yield Aggregate(mean, interval, None, None)
        else:
            improvement = probability_of_improvement(
                values, scores[baseline], higher_is_better=higher_is_better, confidence=confidence
            )
            yield Aggregate(mean, interval, *improvement)


def _target_profiles(
    tables: Sequence[Mapping[str, Row]], names: Sequence[str], metrics: Iterable[Metric]
) -> tuple[Profile, ...] | None:
    """Return the profiles of the seconds to each target on each dataset; None without targets."""
    targets = [metric.name for metric in metrics if metric.name.startswith(SECONDS_TO)]
    times = [[_median(table[name], target) for table in tables for target in targets] for name in names]
    return profiles(np.array(times)) if targets else None


def _has_results(row: Row | None) -> bool:
    return row is not None and bool(len(_values(row, next(iter(row.cells)))))


def _values(row: Row, metric: str) -> NDArray[np.float64]:
    """Return all finite values of a row, those of seeds that did not learn included: they count against it."""
    values = [value for value in row.cells[metric].values.values() if value is not None and math.isfinite(value)]
    return np.array(values, dtype=np.float64)


def _median(row: Row, target: str) -> float:
    median = row.cells[target].median
    return math.inf if median is None else median
