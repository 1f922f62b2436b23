"""Numbers of a comparison as text: fractions as %, and their differences in points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchbench.compare.intervals import METHOD_OF_MEANS, SAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.cells import Cell
    from benchbench.compare.comparison import Comparison
    from benchbench.compare.contrasts import Contrast
    from benchbench.compare.intervals import Interval, Summary
    from benchbench.compare.metric_values import Metric
    from benchbench.compare.published import PublishedRow

PERCENT = 100
_SMALLEST_P = 0.001
_LARGE, _MIDDLE = 100, 10
_SMALL_RATIO, _SMALL_POINTS = 0.01, 0.1
"""Differences below these take more digits than two of a ratio, or one of points."""


def unit(metric: Metric) -> str:
    """Return what the numbers of a metric are in."""
    return "%" if metric.unit == "fraction" else metric.unit


def p_value(p: float, level: float) -> str:
    """Return ``p = 0.034``, with as many digits as show on which side of ``level`` it is, or that it is very small."""
    level = round(level, 12)  # 1 - 0.95 is not 0.05
    smallest = min(_SMALLEST_P, level)
    if p < smallest:
        return f"p < {smallest:g}"
    texts = (f"{p:.{digits}g}" for digits in range(2, 18))
    return f"p = {next(text for text in texts if (float(text) < level) == (p < level))}"


def percent(fraction: float) -> str:
    """Return ``95 %``, with as many digits as it has."""
    return f"{PERCENT * fraction:.6g} %"


def number(value: float, metric: Metric, *, beside: float | None = None, spread: float = 0.0) -> str:
    """Return one value, in the unit of :func:`unit`, with as many decimals as the value ``beside`` it.

    ``spread`` is the deviation or half the interval of the values: a small one takes more decimals.
    """
    if not metric.unit:
        return f"{value:.4g}"
    factor = PERCENT if metric.unit == "fraction" else 1
    size = factor * abs(value if beside is None else beside)
    digits = decimals(_usual_decimals(metric, size), size, factor * spread)
    return f"{factor * value:{',' if metric.is_ratio else ''}.{digits}f}"


def decimals(usual: int, size: float, spread: float = 0.0) -> int:
    """Return the usual decimals, or more: two digits of ``size``, and of a ``spread`` that would be printed as 0."""
    return max(usual, _for_two_digits(size), 0 if round(spread, usual) else _for_two_digits(spread))


def _for_two_digits(size: float) -> int:
    """Return how many decimals show two digits; 0 for what is 0 but for rounding."""
    return max(0, 1 - math.floor(math.log10(size))) if SAME < size < math.inf else 0


def _usual_decimals(metric: Metric, size: float) -> int:
    if metric.is_ratio:
        return 0 if size >= _LARGE else 1 if size >= _MIDDLE else 2
    return 3 if metric.unit == "nats" else 1


def interval(ends: Interval | None, metric: Metric) -> str:
    """Return ``52.1 .. 55.0``, or an empty text."""
    if ends is None:
        return ""
    low, high = (number(end, metric, beside=ends.high, spread=_half(ends)) for end in (ends.low, ends.high))
    return f"{low} .. {high}"


def _half(ends: Interval) -> float:
    return (ends.high - ends.low) / 2


def mean(summary: Summary, metric: Metric) -> str:
    """Return ``91.3 ± 0.4 (n=3)``; without ± for a single trial."""
    return " ".join(filter(None, _mean_and_count(summary, metric)))


def value(cell: Cell, metric: Metric) -> str:
    """Return the mean of a cell, or its median if some trials did not reach a target, with how many have a value."""
    return " ".join(filter(None, value_and_count(cell, metric)))


def value_and_count(cell: Cell, metric: Metric) -> tuple[str, str]:
    """Return the value, if there is one, and how many trials have one, such as ``(n=3)``."""
    if cell.num_reached == len(cell.values):
        return _mean_and_count(cell.summary, metric)
    count = f"({cell.num_reached} of {len(cell.values)})"
    if cell.median is not None:
        return f"median {number(cell.median, metric)}", count
    if cell.median_above is not None:
        return f"> {number(cell.median_above, metric)}", count
    return "" if metric.may_be_unreached else _mean_and_count(cell.summary, metric)[0], count


def _mean_and_count(summary: Summary, metric: Metric) -> tuple[str, str]:
    if summary.mean is None:
        return "", f"(n={summary.n})"
    printed = [value for value in (summary.mean, summary.std) if value is not None]
    texts = (number(value, metric, beside=summary.mean, spread=summary.std or 0.0) for value in printed)
    return " ± ".join(texts), f"(n={summary.n})"


def difference(contrast: Contrast | None, metric: Metric) -> str:
    """Return ``+2.12 [-0.31, +4.55]``, or a ratio as ``1.250 [1.102, 1.418]``; the interval only if there is one."""
    return "" if contrast is None else change(contrast.estimate, contrast.interval, metric)


def change(estimate: float, ends: Interval | None, metric: Metric) -> str:
    """Return an estimate with its interval, if there is one."""
    printed = (estimate, ends.low, ends.high) if ends else (estimate,)
    text, *texts_of_ends = _changes(printed, metric, spread=_half(ends) if ends else abs(estimate))
    return f"{text} [{', '.join(texts_of_ends)}]" if ends else text


def size(value: float, metric: Metric) -> str:
    """Return a difference or ratio in few digits, such as ``+10.3`` points or ``1.25``; a small one in more."""
    if metric.is_ratio:
        if value < _SMALL_POINTS:
            return f"{value:.2g}"
        return f"{value:.2f}" if value == 1 or abs(value - 1) >= _SMALL_RATIO else f"{value:.4f}"
    if metric.unit != "fraction":
        return f"{value:+.3g}"
    points = PERCENT * value
    return f"{points:+.1f}" if not points or abs(points) >= _SMALL_POINTS else f"{points:+.3f}"


def test(contrast: Contrast | None) -> str:
    """Return ``paired t, r = 0.91, without seed=2``: the test, the correlation of the seeds, and those left out."""
    if contrast is None or contrast.interval is None:
        return ""
    correlation = f"r = {contrast.correlation:.2f}" if contrast.correlation is not None else ""
    left_out = f"without {', '.join(contrast.left_out)}" if contrast.left_out else ""
    return ", ".join(filter(None, (contrast.test, correlation, left_out)))


def fractions(ends: Interval | None) -> str:
    """Return an interval of a fraction in percent, such as ``37.6 .. 96.4``, or an empty text."""
    return f"{PERCENT * ends.low:.1f} .. {PERCENT * ends.high:.1f}" if ends else ""


def statuses(counts: dict[str, int]) -> str:
    """Return how many trials did not finish, such as ``2 failed, 1 running``."""
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()) if status != "finished")


def title(metric: Metric) -> str:
    """Return the name of a metric with its unit, its kind of difference, and what is better."""
    parts = [unit(metric)] if metric.unit else []
    if metric.is_ratio:
        parts.append("ratio to the baseline")
    elif metric.unit == "fraction":
        parts.append("difference in points")
    if metric.better != "neither":
        parts.append(f"{metric.better} is better")
    return f"{metric.name} ({'; '.join(parts)})" if parts else metric.name


def caption(comparison: Comparison, metric: Metric, *, marks_best: bool = True) -> str:
    """Return how the numbers of a metric's table were made, in which a star marks the best configuration."""
    contrasts = [contrast for row in comparison.rows if (contrast := row.cells[metric.name].contrast)]
    mean_kind = "geometric means, " if metric.is_ratio else ""
    of_differences = [contrast.interval_method for contrast in contrasts if contrast.interval]
    methods = " and ".join(dict.fromkeys((METHOD_OF_MEANS, *of_differences)))
    intervals = f"{percent(comparison.confidence)} intervals, {methods}"
    parts = [f"{mean_kind}± standard deviation; {intervals}"]
    if any(contrast.p_value is not None for contrast in contrasts):
        correction = "Holm" if comparison.margin is None else "Bonferroni"
        about = "new seeds on the same test images" if metric.is_quality else "new seeds"
        parts.append(f"verdicts are about {about}, corrected for {comparison.num_comparisons} ({correction})")
        parts.extend(_looks(comparison))
    parts.extend(["* best by validation"] if marks_best else [])
    return "; ".join(parts)


def _looks(comparison: Comparison) -> tuple[str, ...]:
    if comparison.level_of_looks is None:
        return ()
    level = percent(1 - comparison.confidence)
    return (f"their level at this look is {level}, that of all looks together {percent(comparison.level_of_looks)}",)


def judgement(row: PublishedRow) -> str:
    """Return the judgement with its reason."""
    return f"{row.judgement}: {row.why}" if row.why else row.judgement


def _changes(values: Sequence[float], metric: Metric, *, spread: float) -> list[str]:
    """Return differences or ratios; if one would be printed as 0, with two digits of the ``spread``."""
    if not metric.unit:
        return [f"{value:+.3g}" for value in values]
    factor = PERCENT if metric.unit == "fraction" else 1
    usual = {"fraction": 2, "epochs": 1}.get(metric.unit, 3)
    is_small = any(abs(value) > SAME and not round(factor * value, usual) for value in values)
    digits = max(usual, _for_two_digits(factor * spread)) if is_small else usual
    return [f"{factor * value:{'' if metric.is_ratio else '+'}.{digits}f}" for value in values]
