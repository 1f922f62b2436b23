"""How many seeds would show a difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower
from support.comparisons import HIGH, LOW, only_cell
from support.made_records import configuration

from benchbench.compare import compare_records
from benchbench.compare.power import power, seeds_needed


@pytest.mark.parametrize("effect", [0.4, 0.8, 1.5])
def test_seeds_needed_are_those_of_statsmodels(effect: float) -> None:
    paired = math.ceil(TTestPower().solve_power(effect, None, 0.05, 0.8))
    assert seeds_needed(effect, [1.0], level=0.05) == paired
    two = math.ceil(TTestIndPower().solve_power(effect, None, 0.05, 0.8))
    assert seeds_needed(effect, [1.0, 1.0], level=0.05) == two


@pytest.mark.parametrize("deviations", [(1.0,), (1.0, 1.0), (0.6, 1.2)], ids=["paired", "Welch", "unequal"])
@pytest.mark.parametrize("effect", [0.4, 0.6])
def test_the_advised_number_of_seeds_has_the_power_that_is_promised(
    effect: float, deviations: tuple[float, ...]
) -> None:
    needed = seeds_needed(effect, deviations, level=0.05)
    assert needed is not None
    random, num_tables = np.random.default_rng(needed), 20_000
    ours = random.normal(effect, deviations[0], (num_tables, needed))
    if len(deviations) == 1:
        p_values = stats.ttest_1samp(ours, 0, axis=1).pvalue
    else:
        p_values = stats.ttest_ind(ours, random.normal(0, deviations[1], ours.shape), axis=1, equal_var=False).pvalue
    assert 0.78 <= np.mean(p_values < 0.05) <= 0.82


def test_power_is_certain_for_what_no_noise_hides() -> None:
    assert power(np.array([3, 10, 100]), 1e6, [1e-3], level=1e-6) == pytest.approx([1, 1, 1])


def test_a_difference_too_small_for_a_hundred_seeds_is_said_to_be() -> None:
    found = compare_records(configuration(LOW, [0.5, 0.6, 0.7]) + configuration(HIGH, [0.6, 0.7, 0.501]))
    assert only_cell(found).verdict.words == (
        "not distinguishable with n = 3; over 100 seeds would show a difference of this size"
    )


def test_a_small_difference_says_how_many_seeds_would_show_it() -> None:
    records = configuration(LOW, [0.50, 0.56, 0.53]) + configuration(HIGH, [0.53, 0.58, 0.57], first_seed=9)
    words = only_cell(compare_records(records)).verdict.words
    assert words == "not distinguishable with n = 3; about 15 seeds (9 to 55) would show a difference of this size"
