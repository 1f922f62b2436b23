"""Ratios of times on made data: what is printed covers the truth, and says no more than the data does."""

from __future__ import annotations

import gc
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchbench.compare.timing_ratios import BOOTSTRAP_ROUNDS, compare_timings
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.compare.timing_ratios import TimedRow

DRIFT = 0.3
"""How far a machine wanders between rounds, on the logarithm."""


def drawn(
    generator: np.random.Generator, n: int, ratio: float, *, noise: float = 0.05
) -> dict[str, NDArray[np.float64]]:
    """Return two variants on a machine that drifts far more than they differ."""
    machine = np.exp(DRIFT * generator.standard_normal(n))
    return {
        "base": machine * np.exp(noise * generator.standard_normal(n)),
        "other": ratio * machine * np.exp(noise * generator.standard_normal(n)),
    }


def row_of(seconds: dict[str, NDArray[np.float64]], name: str = "other") -> TimedRow:
    rows = compare_timings({key: value.tolist() for key, value in seconds.items()}, "base").rows
    return next(row for row in rows if row.name == name)


def covers(row: TimedRow, truth: float) -> bool:
    assert row.ratio is not None
    assert row.ratio.interval is not None
    return truth in row.ratio.interval


@pytest.mark.slow
@pytest.mark.parametrize(("n", "num_draws"), [(3, 2000), (5, 2000), (10, 2000), (BOOTSTRAP_ROUNDS, 300)])
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int, num_draws: int) -> None:
    generator = np.random.default_rng(n)
    correct = sum(covers(row_of(drawn(generator, n, 0.8)), 0.8) for _ in range(num_draws))
    expected, margin = 0.95, 3 * (0.95 * 0.05 / num_draws) ** 0.5
    slack = 0.02 if n >= BOOTSTRAP_ROUNDS else 0.0
    assert expected - margin - slack <= correct / num_draws <= expected + margin


def test_of_tables_without_a_difference_few_name_one() -> None:
    generator = np.random.default_rng(0)
    false = 0
    gc.freeze()  # statsmodels collects garbage at each call, and there is much here that is none
    for _ in range(200):
        machine = np.exp(DRIFT * generator.standard_normal(5))
        seconds = {name: (machine * np.exp(0.05 * generator.standard_normal(5))).tolist() for name in "abcd"}
        false += any(row.kind in ("faster", "slower") for row in compare_timings(seconds, "a").rows)
    gc.unfreeze()
    assert false / 200 < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_a_few_disturbed_rounds_do_not_move_the_bootstrap() -> None:
    seconds = drawn(np.random.default_rng(1), 24, 0.8, noise=0.01)
    calm = row_of(seconds).ratio
    seconds["other"][:3] *= 4
    disturbed = row_of(seconds).ratio
    assert calm
    assert disturbed
    assert disturbed.estimate == pytest.approx(calm.estimate, rel=0.01)
    assert row_of(seconds).kind == "faster"


def test_the_sentence_turns_the_ratio_so_that_it_is_above_one() -> None:
    seconds = drawn(np.random.default_rng(2), 10, 0.5)
    faster, slower = row_of(seconds), row_of({"base": seconds["other"], "other": seconds["base"]})
    pattern = r"other is (\d\.\d\d)x \[(\d\.\d\d), (\d\.\d\d)\] (faster|slower) than base"
    first, second = re.fullmatch(pattern, faster.verdict), re.fullmatch(pattern, slower.verdict)
    assert first
    assert second
    assert (first[4], second[4]) == ("faster", "slower")
    assert first.groups()[:3] == second.groups()[:3]
    assert float(first[2]) < 2 < float(first[3])


def test_a_small_difference_is_not_printed_as_none() -> None:
    seconds = drawn(np.random.default_rng(3), 10, 0.998, noise=0.0001)
    assert re.fullmatch(r"other is 1\.00\d\dx \[1\.00\d\d, 1\.00\d\d\] faster than base", row_of(seconds).verdict)


def test_what_cannot_be_told_apart_is_said_to_be_so_with_n() -> None:
    row = row_of(drawn(np.random.default_rng(4), 10, 1.0))
    assert row.kind == "no difference"
    assert row.verdict == "other and base: no difference detectable at n = 10"


def test_a_difference_that_does_not_stand_among_many_is_taken_back() -> None:
    generator = np.random.default_rng(5)
    seconds = {name: np.exp(0.05 * generator.standard_normal(6)) for name in ("base", *"abcdefgh")}
    step = np.exp([-0.061, -0.02, -0.03, -0.05, -0.01, -0.06])
    row = row_of(seconds | {"other": seconds["base"] * step})
    assert row.ratio
    assert row.ratio.p_value is not None
    assert row.corrected_p is not None
    assert row.ratio.p_value < 0.05 < row.corrected_p
    assert row.verdict.endswith("no difference detectable at n = 6 after correction for 9 comparisons")


def test_times_that_never_vary_have_no_interval_and_no_verdict() -> None:
    row = compare_timings({"base": [1.0] * 5, "other": [2.0] * 5}, "base").rows[1]
    assert row.ratio is not None
    assert row.ratio.interval is None
    assert row.kind == "no difference"


def test_two_rounds_are_too_few() -> None:
    with pytest.raises(SpecError, match="n = 2 is too small for an interval: it needs 3 rounds"):
        compare_timings({"base": [1.0, 1.1], "other": [2.0, 2.1]}, "base")
