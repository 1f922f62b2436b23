"""Decisions over several looks: the level that they spend, and what is decided, given up and left open."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchbench.compare.sequential_tests import Evidence, Looks, fixed_seeds

LOOKS = (3, 5, 8, 12, 20)
LEVEL = 0.05
KEY = ("optimizer.lr=0.1", "test_accuracy")
OTHER = ("optimizer.lr=0.2", "test_accuracy")


def outcomes(looks: Looks, p_values: list[list[float | None]]) -> list[tuple[str, int]]:
    """Return the outcome and look of each comparison, whose p values at each look are a row."""
    decisions = {}
    for number, row in enumerate(p_values, start=1):
        evidence = {(str(index), "m"): Evidence(p, looks.seeds[number - 1] - 1) for index, p in enumerate(row)}
        decisions = looks.judge(number, evidence, decisions)
    return [(decisions[str(index), "m"].outcome, decisions[str(index), "m"].look) for index in range(len(row))]


def test_the_parts_of_the_level_follow_the_seeds_and_add_up_to_it() -> None:
    levels = Looks(LOOKS, LEVEL).levels
    assert sum(levels) == pytest.approx(LEVEL)
    assert levels == pytest.approx([0.0075, 0.005, 0.0075, 0.01, 0.02])


def test_a_comparison_is_decided_at_the_first_look_whose_part_of_the_level_it_reaches() -> None:
    looks = Looks((3, 6), LEVEL)
    assert outcomes(looks, [[0.024], [0.5]]) == [("decided", 1)]
    assert outcomes(looks, [[0.026], [0.024]]) == [("decided", 2)]
    assert outcomes(looks, [[0.026], [0.026]]) == [("open", 2)]


def test_each_decision_leaves_more_of_the_level_to_the_comparisons_that_are_open() -> None:
    looks = Looks((3, 6), LEVEL)
    assert outcomes(looks, [[0.012, 0.02]]) == [("decided", 1), ("decided", 1)]
    assert outcomes(looks, [[0.013, 0.02]]) == [("open", 1), ("open", 1)]
    assert outcomes(looks, [[0.012, 0.2], [0.9, 0.02]]) == [("decided", 1), ("decided", 2)]


def test_a_comparison_that_was_given_up_still_counts_when_the_level_is_divided() -> None:
    looks = Looks((10, 20), LEVEL)
    first = looks.judge(1, {KEY: Evidence(0.99, 9), OTHER: Evidence(0.03, 9)}, {})
    assert [first[KEY].outcome, first[OTHER].outcome] == ["given up", "open"]
    second = looks.judge(2, {KEY: Evidence(0.001, 19), OTHER: Evidence(0.02, 19)}, first)
    assert [second[KEY].outcome, second[OTHER].outcome] == ["given up", "open"]


def test_without_a_test_a_comparison_stays_open() -> None:
    assert outcomes(Looks((3, 6), LEVEL), [[None]]) == [("open", 1)]


def test_the_predicted_chance_is_that_of_drawing_the_rest_of_the_seeds() -> None:
    """Means of the seeds to come are drawn from what ten seeds say about them, and the test is made at twenty."""
    looks, random = Looks((10, 20), LEVEL), np.random.default_rng(0)
    seen = random.normal(0.4, 1, 10)
    p_value = float(stats.ttest_1samp(seen, 0).pvalue)
    draws = random.standard_t(9, 100_000) * seen.std(ddof=1) * np.sqrt(1 / 10 - 1 / 20) + seen.mean()
    critical = stats.t.isf(looks.levels[1] / 2, 19) * seen.std(ddof=1) / np.sqrt(20)
    chance = looks.chance(1, Evidence(p_value, 9), level_at_end=looks.levels[1])
    assert chance == pytest.approx(np.mean(np.abs(draws) > critical), abs=0.005)


def test_a_fixed_design_of_the_same_power_has_fewer_seeds_than_the_last_look() -> None:
    assert fixed_seeds(LOOKS, LEVEL) == 16
    assert fixed_seeds((10,), LEVEL) == 10


def test_with_a_margin_the_level_is_divided_by_all_comparisons_at_every_look() -> None:
    """Those that end as equal are true null hypotheses, of which Holm's method must not lose count."""
    looks = Looks((10, 20), LEVEL, has_margin=True)
    evidence = {KEY: Evidence(0.9, 9, same_p=0.001), OTHER: Evidence(0.5, 9, same_p=0.4)}
    first = looks.judge(1, evidence, {})
    assert (first[KEY].outcome, first[KEY].is_same) == ("decided", True)
    second = looks.judge(2, {KEY: Evidence(0.9, 19), OTHER: Evidence(0.02, 19, same_p=0.4)}, first)
    assert (second[OTHER].outcome, second[OTHER].level) == ("open", LEVEL / 4)
