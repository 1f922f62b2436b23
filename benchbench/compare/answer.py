"""What a comparison answers, in one to three sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.compare.verdicts import DIFFERENT
from benchbench.records.metrics import TEST_ACCURACY

if TYPE_CHECKING:
    from benchbench.compare.cells import Cell
    from benchbench.compare.comparison import Comparison, Row
    from benchbench.compare.contrasts import Contrast
    from benchbench.compare.metric_values import Metric


def answer(comparison: Comparison) -> tuple[str, ...]:
    """Return how the best configuration by validation compares with the baseline.

    If the baseline is the best, the next best is compared with it. The first sentence is about the first metric, and
    the second about the first time, if there is one.
    """
    baseline = comparison.baseline
    others = [row for row in comparison.rows if not row.is_baseline and row.val_accuracy is not None]
    if not others:
        has_results = (row for row in comparison.rows if row.val_accuracy is not None)
        return (_alone(next(has_results, baseline), comparison.metrics[0]),)
    row = max(others, key=lambda other: other.val_accuracy or 0.0)
    first, *rest = comparison.metrics
    times = [metric for metric in rest if metric.is_ratio and not first.is_ratio]
    sentences = [
        _sentence(row.display_name, baseline.display_name, row.cells[metric.name], metric, comparison)
        for metric in (first, *times[:1])
    ]
    sides = (row.learning, baseline.learning)
    has_more = all(side.num_ended for side in sides) and not all(side.all_learned for side in sides)
    return (*sentences, _learned(row, baseline, _unit_of(comparison))) if has_more else tuple(sentences)


def _learned(row: Row, baseline: Row, units: str) -> str:
    ours, theirs = row.learning, baseline.learning
    return (
        f"{row.display_name} {ours.criterion} in {ours.num_learned} of {ours.num_ended} {units},"
        f" {baseline.display_name} in {theirs.num_learned} of {theirs.num_ended}."
    )


def _alone(row: Row, metric: Metric) -> str:
    cell = row.cells[metric.name]
    value, count = formatting.value_and_count(cell, metric)
    measured = " ".join(filter(None, (value, value and formatting.unit(metric), count)))
    return f"{row.display_name}: {metric.name} is {measured}. There is nothing to compare it with."


def _sentence(name: str, baseline: str, cell: Cell, metric: Metric, comparison: Comparison) -> str:
    contrast, verdict = cell.contrast, cell.verdict
    if contrast is None or contrast.interval is None:
        return f"{name} and {baseline}, {metric.name}: {verdict.words}."
    low, high = (formatting.size(end, metric) for end in (contrast.interval.low, contrast.interval.high))
    count = f"{contrast.n[0]} and {contrast.n[1]}" if contrast.n[0] != contrast.n[1] else f"{contrast.n[0]}"
    measure = f"{metric.name}, " if metric.is_ratio else ""
    evidence = f"{measure}{formatting.percent(comparison.confidence)}: {low} to {high}; {count} {_unit_of(comparison)}"
    among = f"Among {cell.among}, " if cell.among else ""
    if verdict.kind in DIFFERENT:
        doubt = f"; {verdict.doubt}" if verdict.doubt else ""
        return f"{among}{name} {_difference(contrast, metric, baseline)} ({evidence}){doubt}."
    if verdict.kind == "equivalent":
        same = f"the same within {comparison.margin or 0:g} points"
        return f"{among}{name} and {baseline} are {same} in {metric.name} ({evidence})."
    change = f"{_change(formatting.size(contrast.estimate, metric), metric)} ({evidence})"
    if verdict.kind == "not distinguishable":
        criterion = comparison.baseline.learning.criterion
        luck = f"; it may be chance that only one {criterion}" if contrast.luck_p else ""
        return f"{among}{name} and {baseline} are not distinguishable in {metric.name}: {change}{luck}."
    return f"{name} and {baseline}, {metric.name}: {change}; {verdict.words}."


def _difference(contrast: Contrast, metric: Metric, baseline: str) -> str:
    size = formatting.size(contrast.estimate, metric)
    if metric.is_ratio and metric.unit == "seconds":
        return f"takes {size} times as long as {baseline}"
    if metric.is_ratio:
        return f"has {size} times the {metric.name} of {baseline}"
    is_higher = contrast.estimate > 0
    plain = formatting.size(abs(contrast.estimate), metric).lstrip("+")
    if metric.name == TEST_ACCURACY:
        return f"is {plain} points {'more' if is_higher else 'less'} accurate than {baseline}"
    return f"has a {'higher' if is_higher else 'lower'} {metric.name} than {baseline}, by {plain}{_unit(metric)}"


def _change(size: str, metric: Metric) -> str:
    return f"{size} times as much" if metric.is_ratio else f"{size}{_unit(metric)}"


def _unit(metric: Metric) -> str:
    unit = "points" if metric.unit == "fraction" else metric.unit
    return f" {unit}" if unit else ""


def _unit_of(comparison: Comparison) -> str:
    return "trials" if comparison.pooled else "seeds"
