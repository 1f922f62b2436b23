"""Numbers as they are printed: the usual decimals, and more for what they would print as 0."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from support.comparisons import HIGH, LOW, only_cell
from support.made_records import configuration

from benchbench.compare import compare_records
from benchbench.compare.contrasts import INTERVAL_METHODS, Test
from benchbench.compare.formatting import caption, change, interval, mean, number
from benchbench.compare.intervals import Interval, Summary
from benchbench.compare.metric_values import Metric

ACCURACY, LOSS, TIME = (Metric.named(name) for name in ("test_accuracy", "train_loss", "seconds_per_epoch"))


@pytest.mark.parametrize(
    ("summary", "metric", "shown"),
    [
        (Summary(3, 0.913, 0.004, Interval(0.903, 0.922)), ACCURACY, ("91.3 ± 0.4 (n=3)", "90.3 .. 92.2")),
        (Summary(5, 0.9965, 0.0003, Interval(0.9961, 0.9969)), ACCURACY, ("99.650 ± 0.030 (n=5)", "99.610 .. 99.690")),
        (Summary(5, 4e-4, 1.2e-4, Interval(2.8e-4, 5.2e-4)), LOSS, ("0.00040 ± 0.00012 (n=5)", "0.00028 .. 0.00052")),
        (Summary(5, 0.012, 0.003, Interval(0.009, 0.015)), TIME, ("0.0120 ± 0.0030 (n=5)", "0.0090 .. 0.0150")),
        (Summary(3, 120.04, 0.3, Interval(118.0, 122.0)), TIME, ("120.04 ± 0.30 (n=3)", "118 .. 122")),
        (Summary(1, 0.0042, None, None), TIME, ("0.0042 (n=1)", "")),
        (Summary(3, 0.1, 1.7e-17, None), ACCURACY, ("10.0 ± 0.0 (n=3)", "")),
        (Summary(2, 0.0, 0.0, None), LOSS, ("0.000 ± 0.000 (n=2)", "")),
    ],
)
def test_a_small_value_or_deviation_is_not_printed_as_0(
    summary: Summary, metric: Metric, shown: tuple[str, str]
) -> None:
    assert (mean(summary, metric), interval(summary.interval, metric)) == shown


@pytest.mark.parametrize(
    ("estimate", "ends", "metric", "shown"),
    [
        (0.1, Interval(0.0752, 0.1248), ACCURACY, "+10.00 [+7.52, +12.48]"),
        (0.02, Interval(1e-7, 0.04), ACCURACY, "+2.00 [+0.00, +4.00]"),
        (6e-4, Interval(-4e-5, 1.24e-3), ACCURACY, "+0.060 [-0.004, +0.124]"),
        (4e-4, Interval(1e-4, 7e-4), LOSS, "+0.00040 [+0.00010, +0.00070]"),
        (-2e-4, None, LOSS, "-0.00020"),
        (1e-16, None, ACCURACY, "+0.00"),
        (1.25, Interval(1.102, 1.418), TIME, "1.250 [1.102, 1.418]"),
        (4e-4, Interval(2.8e-4, 5.2e-4), TIME, "0.00040 [0.00028, 0.00052]"),
    ],
)
def test_a_small_difference_is_not_printed_as_0_if_its_interval_is_short(
    estimate: float, ends: Interval | None, metric: Metric, shown: str
) -> None:
    assert change(estimate, ends, metric) == shown


def test_an_infinite_loss_is_printed() -> None:
    assert number(float("inf"), LOSS) == "inf"


def test_a_caption_names_the_methods_of_the_intervals_that_are_in_the_table() -> None:
    comparison = compare_records(configuration(LOW, [0.50, 0.52, 0.51]) + configuration(HIGH, [0.60, 0.63, 0.61]))
    assert "; 95 % intervals, Student's t; verdicts" in caption(comparison, ACCURACY)
    cell = only_cell(comparison)
    assert cell.contrast is not None
    other = replace(cell, contrast=replace(cell.contrast, test="Wilcoxon's signed-rank"))
    baseline, row = comparison.rows
    changed = replace(comparison, rows=(baseline, replace(row, cells={"test_accuracy": other})))
    assert "; 95 % intervals, Student's t and bootstrap; verdicts" in caption(changed, ACCURACY)
    assert set(INTERVAL_METHODS) == set(get_args(Test))
