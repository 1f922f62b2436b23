"""Times of variants measured in interleaved rounds: ratios to a baseline, intervals, and a sentence for each.

A ratio is taken within each round, so that anything that slows a whole round affects both times. Below
:data:`BOOTSTRAP_ROUNDS` the estimate is the geometric mean of the rounds' ratios with Student's t on their logarithms;
from then on their median with a percentile bootstrap and Wilcoxon's signed-rank test, which a few disturbed rounds
do not move. Verdicts are corrected for the number of comparisons (Holm), intervals are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from benchbench.compare.contrasts import MAX_RESAMPLES, contrast
from benchbench.compare.corrections import holm
from benchbench.compare.intervals import Interval
from benchbench.config.defaults import CONFIDENCE
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.compare.contrasts import Contrast

MIN_ROUNDS = 3
"""Two rounds have an interval in name only: its ends are 12.7 standard errors away."""

BOOTSTRAP_ROUNDS = 20

Method = Literal["Student's t", "bootstrap"]
Kind = Literal["baseline", "faster", "slower", "no difference"]


@dataclass(frozen=True)
class TimedRow:
    """One variant: the seconds of its epoch by round, their median and middle half, and its ratio to the baseline.

    The ratio is below 1 if the variant is faster; the baseline has none. ``corrected_p`` is corrected for the
    number of comparisons.
    """

    name: str
    epoch_seconds: tuple[float, ...]
    median: float
    middle_half: Interval
    ratio: Contrast | None
    corrected_p: float | None
    kind: Kind
    verdict: str


@dataclass(frozen=True)
class TimedTable:
    """All variants with their verdicts; ``n`` is the number of rounds."""

    rows: tuple[TimedRow, ...]
    baseline: str
    n: int
    confidence: float
    method: Method


def check_rounds(num_rounds: int) -> None:
    """Raise :class:`SpecError` if there are too few rounds for an interval."""
    if num_rounds < MIN_ROUNDS:
        raise SpecError(
            f"n = {num_rounds} is too small for an interval: it needs {MIN_ROUNDS} rounds", hint="such as --rounds 10"
        )


def compare_timings(
    seconds: Mapping[str, Sequence[float]], baseline: str, *, confidence: float = CONFIDENCE
) -> TimedTable:
    """Return the variants, each against the baseline; ``seconds`` are by variant, then by round.

    Raises :class:`SpecError` for less than :data:`MIN_ROUNDS` rounds.
    """
    n = len(seconds[baseline])
    check_rounds(n)
    level = 1 - confidence
    contrasts = {
        name: None if name == baseline else _contrast(ours, seconds[baseline], confidence=confidence)
        for name, ours in seconds.items()
    }
    p_values = {name: ratio.p_value for name, ratio in contrasts.items() if ratio and ratio.p_value is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    rows = []
    for name, ratio in contrasts.items():
        corrected_p = corrected.get(name)
        kind = _kind(ratio, corrected_p, level)
        low, median, high = (float(value) for value in np.quantile(seconds[name], (0.25, 0.5, 0.75)))
        rows.append(
            TimedRow(
                name=name,
                epoch_seconds=tuple(seconds[name]),
                median=median,
                middle_half=Interval(low, high),
                ratio=ratio,
                corrected_p=corrected_p,
                kind=kind,
                verdict=_sentence(name, baseline, ratio, kind)
                + _why_no_difference(ratio, kind, level, len(seconds) - 1),
            )
        )
    return TimedTable(tuple(rows), baseline, n, confidence, _method(n))


def _method(n: int) -> Method:
    return "bootstrap" if n >= BOOTSTRAP_ROUNDS else "Student's t"


def _contrast(ours: Sequence[float], baseline: Sequence[float], *, confidence: float) -> Contrast:
    """Return the ratio of two variants by rounds."""
    a, b = (dict(zip(map(str, range(len(values))), values, strict=True)) for values in (ours, baseline))
    ratio = contrast(a, b, as_ratio=True, confidence=confidence)
    if ratio.interval is None or _method(len(ours)) == "Student's t":
        return ratio
    logs = np.log(ours) - np.log(baseline)
    ends = stats.bootstrap(
        (logs,),
        np.median,
        confidence_level=confidence,
        method="percentile",
        n_resamples=MAX_RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return replace(
        ratio,
        estimate=math.exp(np.median(logs)),
        interval=Interval(math.exp(ends.low), math.exp(ends.high)),
        test="Wilcoxon's signed-rank",
        p_value=float(stats.wilcoxon(logs).pvalue),
    )


def _kind(ratio: Contrast | None, corrected_p: float | None, level: float) -> Kind:
    if ratio is None:
        return "baseline"
    if ratio.interval is None or 1.0 in ratio.interval or corrected_p is None or corrected_p >= level:
        return "no difference"
    return "faster" if ratio.estimate < 1 else "slower"


def _sentence(name: str, baseline: str, ratio: Contrast | None, kind: Kind) -> str:
    if ratio is None:
        return "baseline"
    if kind == "no difference" or ratio.interval is None:
        return f"{name} and {baseline}: no difference detectable at n = {ratio.n[0]}"
    low, high = ratio.interval.low, ratio.interval.high
    times, low, high = (ratio.estimate, low, high) if kind == "slower" else (1 / ratio.estimate, 1 / high, 1 / low)
    digits = 2 if round(low, 2) > 1 else 4
    return f"{name} is {times:.{digits}f}x [{low:.{digits}f}, {high:.{digits}f}] {kind} than {baseline}"


def _why_no_difference(ratio: Contrast | None, kind: Kind, level: float, num_comparisons: int) -> str:
    """Return why a ratio whose interval excludes 1 is still no difference, or an empty text."""
    if kind != "no difference" or ratio is None or ratio.interval is None or 1.0 in ratio.interval:
        return ""
    if ratio.p_value is not None and ratio.p_value < level:
        return f" after correction for {num_comparisons} comparisons"
    return " by Wilcoxon's signed-rank test"
