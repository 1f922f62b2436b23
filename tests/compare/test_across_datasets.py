"""Configurations on several datasets."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from support.made_records import configuration

from benchbench.compare import compare_datasets
from benchbench.compare.across_datasets_tables import dataset_tables, overall_tables
from benchbench.compare.aggregates import interquartile_mean, probability_of_improvement
from benchbench.compare.profiles import profiles
from benchbench.compare.ranks import rank_over_datasets
from benchbench.config.compare_section import read_comparison
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from benchbench.config.compare_section import Question
    from benchbench.records.record import Record


def question(**changes: Any) -> Question:
    return read_comparison({"compare": changes})[0]


def on(dataset: str, records: list[Record]) -> list[Record]:
    return [
        replace(
            record,
            spec=replace(record.spec, dataset=replace(record.spec.dataset, name=dataset)),
            spec_id=f"{record.spec_id}-{dataset}",
        )
        for record in records
    ]


def three_datasets() -> list[Record]:
    """Return two learning rates on three datasets, of which the second is always better."""
    records = []
    for number, dataset in enumerate(("squares", "circles", "lines")):
        base = 0.6 + 0.1 * number
        records += on(dataset, configuration(0.1, [base, base + 0.01, base + 0.02]))
        records += on(dataset, configuration(0.2, [base + 0.03, base + 0.041, base + 0.05]))
    return records


def test_each_dataset_has_its_tables_and_all_of_them_have_ranks() -> None:
    compared = compare_datasets(three_datasets(), question())
    assert list(compared.comparisons) == ["squares", "circles", "lines"]
    assert compared.configurations == ("optimizer.lr=0.1", "optimizer.lr=0.2")
    assert compared.ranks.average == (2.0, 1.0)
    baseline, better = compared.aggregates
    assert baseline.improvement is None
    assert better.improvement == pytest.approx(1.0)
    tables = {table.title: table for table in dataset_tables(compared)}
    assert len(tables) == 5
    assert tables["circles: test_accuracy (%; difference in points; higher is better)"].rows[1][-1].startswith("better")
    assert tables["ranks by test_accuracy"].rows[0] == ("optimizer.lr=0.1", "2.00", "baseline")


def test_a_configuration_that_lacks_a_dataset_is_named_and_not_ranked() -> None:
    records = three_datasets() + on("lines", configuration(0.3, [0.7, 0.8, 0.9]))
    compared = compare_datasets(records, question())
    assert compared.missing == ("optimizer.lr=0.3",)
    assert "optimizer.lr=0.3" not in compared.configurations


def test_one_dataset_is_refused() -> None:
    with pytest.raises(SpecError, match="of the same dataset"):
        compare_datasets(configuration(0.1, [0.5, 0.6]), question())


def test_targets_have_performance_profiles() -> None:
    compared = compare_datasets(three_datasets(), question(targets={"val_accuracy": 0.1}))
    assert compared.profiles is not None
    assert [profile.score for profile in compared.profiles] == [1.0, 1.0]
    assert dataset_tables(compared)[-1].rows[0][1:] == ("100", "100", "100", "100", "100", "1.000")


def test_the_columns_of_numbers_over_all_datasets_are_said_to_be_such() -> None:
    compared = compare_datasets(three_datasets(), question(targets={"val_accuracy": 0.1}))
    number = re.compile(r"[\d.]+( \.\. [\d.]+)?|")
    for table in overall_tables(compared):
        columns = zip(table.columns, *table.rows, strict=True)
        of_numbers = {name for name, *cells in columns if all(map(number.fullmatch, cells))}
        assert of_numbers == set(table.numbers), table.title


def test_ranks_and_critical_differences_are_those_of_demsar() -> None:
    # The critical difference of his example, 4 classifiers on 14 datasets, is 1.25 at 0.05.
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (4, 14)) + np.array([[0.0], [0.5], [0.0], [2.0]])
    ranks = rank_over_datasets(values, higher_is_better=True, confidence=0.95)
    assert ranks.critical_difference == pytest.approx(1.25, abs=0.005)
    assert min(ranks.average) == ranks.average[3]
    assert [ranks.differ(3, other) for other in range(3)] == [True, True, True]


@pytest.mark.parametrize(("num_won", "p", "differ"), [(4, 1 / 8, False), (5, 1 / 16, False), (6, 1 / 32, True)])
def test_two_configurations_differ_only_if_the_sign_test_says_so(num_won: int, p: float, *, differ: bool) -> None:
    ranks = rank_over_datasets(np.array([[0.5] * num_won, [0.6] * num_won]), higher_is_better=True, confidence=0.95)
    assert ranks.p_value == pytest.approx(p)
    assert ranks.differ(0, 1) == differ


def test_on_many_datasets_the_p_value_is_that_of_friedmans_approximation() -> None:
    values = np.random.default_rng(1).normal(0, 1, (4, 30)) + np.array([[0.0], [0.2], [0.0], [0.5]])
    p_value = rank_over_datasets(values, higher_is_better=True, confidence=0.95).p_value
    assert p_value == pytest.approx(stats.friedmanchisquare(*values).pvalue, abs=0.01)
    assert 0.01 < p_value < 0.5


def test_seven_datasets_of_eight_are_no_difference() -> None:
    values = np.array([[0.5] * 8, [0.6] * 7 + [0.4]])
    ranks = rank_over_datasets(values, higher_is_better=True, confidence=0.95)
    assert ranks.p_value == pytest.approx(stats.binomtest(7, 8).pvalue)
    assert not ranks.differ(0, 1)


def test_equal_values_share_a_rank() -> None:
    ranks = rank_over_datasets(np.ones((3, 5)), higher_is_better=True, confidence=0.95)
    assert ranks.average == (2.0, 2.0, 2.0)
    assert ranks.p_value == 1.0


def test_profiles_count_problems_by_the_factor_to_the_fastest() -> None:
    fast, slow = profiles(np.array([[1.0, 2.0, math.inf, math.inf], [2.0, 1.0, 5.0, math.inf]]))
    assert fast.ratios == (1.0, 2.0, math.inf, math.inf)
    assert [fast.fraction_within(factor) for factor in (1, 2)] == [0.25, 0.5]
    assert slow.fraction_within(2) == 0.75
    assert fast.score == pytest.approx((1 + 2 / 3) / 4)


def test_the_interquartile_mean_leaves_out_the_extremes_of_all_datasets_together() -> None:
    scores = [np.array([0.0, 0.5, 0.5, 0.6]), np.array([0.5, 0.6, 0.6, 1.0])]
    mean, interval = interquartile_mean(scores, confidence=0.95)
    assert mean == pytest.approx(0.55)
    assert interval.low < mean < interval.high


def test_the_probability_of_improvement_is_that_of_mann_and_whitney() -> None:
    random = np.random.default_rng(1)
    ours, baseline = ([random.normal(mean, 1, 6) for _ in range(3)] for mean in (0.5, 0.0))
    found, interval = probability_of_improvement(ours, baseline, higher_is_better=True, confidence=0.95)
    pairs = zip(ours, baseline, strict=True)
    assert found == pytest.approx(np.mean([stats.mannwhitneyu(a, b).statistic / 36 for a, b in pairs]))
    assert interval.low < found < interval.high
    less, _ = probability_of_improvement(ours, baseline, higher_is_better=False, confidence=0.95)
    assert less == pytest.approx(1 - found)


def test_if_all_datasets_agree_the_p_value_is_the_chance_that_they_do() -> None:
    values = np.array([[0.5, 0.6, 0.7], [0.6, 0.7, 0.8]])
    assert rank_over_datasets(values, higher_is_better=True, confidence=0.95).p_value == pytest.approx(0.25)
    of_three = np.array([[0.5, 0.6], [0.6, 0.7], [0.7, 0.8]])
    assert rank_over_datasets(of_three, higher_is_better=True, confidence=0.95).p_value == pytest.approx(1 / 6)
    tied = np.array([[0.5, 0.6], [0.5, 0.6], [0.7, 0.8]])
    assert rank_over_datasets(tied, higher_is_better=True, confidence=0.95).p_value == pytest.approx(1 / 3)


def test_what_differs_between_datasets_alone_is_told() -> None:
    records = three_datasets()
    other = [
        replace(record, spec=replace(record.spec, model=replace(record.spec.model, name="resnet")))
        for record in records
        if record.spec.dataset.name == "lines"
    ]
    mixed = [record for record in records if record.spec.dataset.name != "lines"] + other
    compared = compare_datasets(mixed, question())
    assert compared.differing == ("model",)
    ranks = next(table for table in dataset_tables(compared) if table.title.startswith("ranks"))
    assert ranks.below[-1] == "warning: trials of one name differ between datasets in model"
    assert compare_datasets(records, question()).differing == ()


def test_all_datasets_have_the_baseline_of_the_first_one() -> None:
    squares = on("squares", configuration(0.1, [0.6, 0.61, 0.62]) + configuration(0.2, [0.7, 0.71, 0.72]))
    circles = on("circles", configuration(0.2, [0.7, 0.71, 0.72]) + configuration(0.1, [0.6, 0.61, 0.62]))
    compared = compare_datasets(squares + circles, question())
    assert [each.baseline.name for each in compared.comparisons.values()] == ["optimizer.lr=0.1"] * 2

    others = on("lines", configuration(0.2, [0.7, 0.71, 0.72]) + configuration(0.3, [0.6, 0.61, 0.62]))
    both = on("squares", configuration(0.3, [0.6, 0.61, 0.62]))
    lines = compare_datasets(squares + both + others, question()).comparisons["lines"]
    assert lines.baseline.name == "optimizer.lr=0.2"
    assert "no trial has the baseline optimizer.lr=0.1: here it is optimizer.lr=0.2" in lines.warnings


def without_results(records: list[Record], dataset: str, lr: float) -> list[Record]:
    """Return the trials, of which those of a learning rate on a dataset have failed."""
    return [
        replace(record, status="failed", final=None)
        if (record.spec.dataset.name, record.spec.optimizer.params["lr"]) == (dataset, lr)
        else record
        for record in records
    ]


@pytest.mark.parametrize("failed_on", ["squares", "lines"])
def test_a_baseline_without_results_on_a_dataset_is_not_replaced_without_a_word(failed_on: str) -> None:
    others = [
        record
        for dataset in ("squares", "circles", "lines")
        for record in on(dataset, configuration(0.3, [0.61, 0.62, 0.63]))
    ]
    records = without_results(three_datasets() + others, failed_on, 0.1)
    compared = compare_datasets(records, question())
    assert compared.baseline == "optimizer.lr=0.2"
    ranks = next(table for table in dataset_tables(compared) if table.title.startswith("ranks"))
    assert ranks.below[-1] == (
        f"warning: optimizer.lr=0.1, the baseline of squares, has no results on {failed_on}: over all datasets, the"
        " baseline is optimizer.lr=0.2"
    )
    with pytest.raises(SpecError, match=rf"the baseline optimizer\.lr=0\.1 has no results on {failed_on}") as caught:
        compare_datasets(records, question(baseline={"optimizer.lr": 0.1}))
    assert caught.value.hint == "these have results on every dataset: optimizer.lr=0.2; optimizer.lr=0.3"
    assert compare_datasets(records, question(baseline={"optimizer.lr": 0.3})).warnings == ()


def test_configurations_are_not_ranked_by_what_only_some_of_their_trials_have() -> None:
    """The trials that reached a target would favour a configuration that rarely reaches it."""
    target, targets = "epochs_to_val_accuracy=0.1", {"val_accuracy": 0.1}
    records = three_datasets()
    records[0] = replace(records[0], epochs=tuple(replace(epoch, val_accuracy=0.0) for epoch in records[0].epochs))
    with pytest.raises(SpecError, match=rf"cannot be ranked by {target}: 2 of 3 trials of optimizer\.lr=0\.1 have"):
        compare_datasets(records, question(metrics=[target], targets=targets))
    beside = question(metrics=["test_accuracy", target], targets=targets)
    assert compare_datasets(records, beside).metric.name == "test_accuracy"


def test_configurations_are_not_ranked_by_what_is_neither_good_nor_bad() -> None:
    with pytest.raises(SpecError, match="neither high nor low values are better"):
        compare_datasets(three_datasets(), question(metrics=["best_val_loss_epoch"]))


def test_trials_on_changed_images_are_not_ranked_together() -> None:
    records = three_datasets()
    records[0] = replace(records[0], data_digest="of other images")
    with pytest.raises(SpecError, match="the images of a dataset have changed between trials"):
        compare_datasets(records, question())
