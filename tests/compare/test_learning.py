"""Seeds that did not learn."""

from __future__ import annotations

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from support.comparisons import HIGH, LOW, only_cell
from support.made_records import configuration, ended, made, spec

from benchbench.compare import compare_records
from benchbench.compare.answer import answer
from benchbench.compare.comparison_tables import metric_tables
from benchbench.config.compare_section import read_comparison


def test_seeds_that_did_not_learn_are_a_result_of_their_own() -> None:
    base = [0.60, 0.61, 0.62, 0.61, 0.60, 0.63]
    records = configuration(LOW, base) + configuration(HIGH, [*(value + 0.02 for value in base[:5]), 0.34])
    records[7] = made(spec(1, lr=HIGH), 0.6355)
    comparison = compare_records(records)
    row, cell = comparison.rows[1], only_cell(comparison)
    assert (row.learning.num_learned, row.learning.num_ended, row.learning.others) == (5, 6, {"at chance": 1})
    interval = proportion_confint(5, 6, method="wilson")
    assert row.learning.interval is not None
    assert (row.learning.interval.low, row.learning.interval.high) == pytest.approx(interval)
    assert row.learning.verdict == "too few seeds for a verdict"
    assert cell.summary.n == 5
    assert cell.contrast is not None
    assert (cell.contrast.n, cell.contrast.left_out) == ((5, 5), ("seed=5",))
    assert cell.verdict.kind == "better"
    assert cell.verdict.words.endswith(", among seeds that learned")
    assert cell.values["seed=5"] == 0.34
    assert metric_tables(comparison)[-1].rows[1][1:4] == ("5 of 6", "43.6 .. 97.0", "1 at chance")
    assert "learned in 5 of 6 seeds" in answer(comparison)[-1]


def test_a_configuration_that_learns_less_often_is_said_to_by_fishers_test() -> None:
    base = [0.60, 0.61, 0.62, 0.61, 0.60, 0.63]
    row = compare_records(configuration(LOW, base) + configuration(HIGH, [0.33, 0.34, 0.33, 0.35, 0.34, 0.61])).rows[1]
    assert row.learning.p_value == pytest.approx(stats.fisher_exact([[1, 5], [6, 0]]).pvalue)
    assert row.learning.verdict.startswith("learns less often (p = ")
    assert row.cells["test_accuracy"].verdict.kind == "not compared"


def test_a_row_that_never_learns_is_worse_unless_that_may_be_luck() -> None:
    """Of equal configurations that learn with every other seed, 1 in 32 pairs of three seeds look like this."""
    accuracies = [0.33, 0.34, 0.332, 0.335]
    three = configuration(LOW, [0.60, 0.61, 0.62]) + configuration(HIGH, accuracies[:3])
    (cell,) = compare_records(three).rows[1].cells.values()
    assert cell.contrast is not None
    assert cell.contrast.p_value == pytest.approx(1 / 32)
    assert cell.verdict.kind == "worse"

    other = configuration(0.3, [0.61, 0.60, 0.63])
    (cell,) = compare_records([*three, *other]).rows[1].cells.values()
    assert cell.verdict.kind == "not distinguishable after correction"
    four = configuration(LOW, [0.60, 0.61, 0.62, 0.6]) + configuration(HIGH, accuracies)
    (cell,) = compare_records([*four, *other]).rows[1].cells.values()
    assert cell.verdict.kind == "worse"

    strict = read_comparison({"compare": {"confidence": 0.99}})[0]
    (cell,) = compare_records(three, strict).rows[1].cells.values()
    assert cell.verdict.words == (
        "not distinguishable with n = 3; it may be chance that only one learned, with all of its seeds (p = 0.031)"
    )


def test_times_are_compared_whether_seeds_learn_or_not() -> None:
    records = configuration(LOW, [0.60, 0.61, 0.62]) + configuration(HIGH, [0.33, 0.34, 0.33])
    question = read_comparison({"compare": {"metrics": ["train_seconds"]}})[0]
    (cell,) = compare_records(records, question).rows[1].cells.values()
    assert cell.contrast is not None
    assert cell.contrast.luck_p is None


def test_a_weak_trial_is_not_taken_for_one_that_did_not_learn() -> None:
    row = compare_records(configuration(LOW, [0.60, 0.61, 0.62]) + configuration(HIGH, [0.45, 0.61, 0.63])).rows[1]
    assert row.learning.all_learned


def test_a_trial_that_was_interrupted_or_runs_counts_for_nothing_yet() -> None:
    waiting = [ended(spec(seed, lr=HIGH), status) for seed, status in ((4, "killed"), (5, "running"))]
    records = configuration(LOW, [0.6, 0.61, 0.62, 0.6, 0.61, 0.6]) + configuration(HIGH, [0.6, 0.62, 0.61, 0.6])
    row = compare_records([*records, *waiting]).rows[1]
    assert (row.learning.num_learned, row.learning.num_ended, row.learning.others) == (4, 4, {})
    assert row.learning.verdict == "equal: all learned"
    alone = compare_records([*records[:6], *waiting]).rows[1]
    assert alone.learning.verdict == "not compared: nothing has ended"
