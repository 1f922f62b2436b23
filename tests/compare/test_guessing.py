"""Trials that are no better than guessing; the made ones have 30 test images of three classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scipy import stats
from support.comparisons import HIGH, LOW, question
from support.made_records import configuration, made, spec

from benchbench.compare import against_published, compare_records
from benchbench.compare.answer import answer
from benchbench.compare.comparison_tables import metric_tables
from benchbench.compare.guessing import best_guess, is_better_than_guessing
from benchbench.config.compare_section import Expected
from benchbench.config.spec import PluginSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.records.record import Record

WARNING = (
    "no trial on squares is clearly better than guessing, which gets 33.3 % of 30 test images right on average and"
    " up to 53.3 % by luck: train longer, check the images, or test on more of them, before you compare"
)


def of_classes(seed: int, accuracy: float, accuracies: Sequence[float], *, lr: float = LOW) -> Record:
    """Return a trial with these accuracies by class."""
    record = made(spec(seed, lr=lr), accuracy)
    assert record.final is not None
    per_class = dict(zip(record.data.class_names, accuracies, strict=True))
    return replace(record, final=replace(record.final, test_accuracy_per_class=per_class))


def of_one_class(seed: int, accuracy: float, *, lr: float = LOW) -> Record:
    """Return a trial that predicts a single class, which so many of the test images have."""
    return of_classes(seed, accuracy, [1, 0, 0], lr=lr)


def with_test_images(record: Record, num_images: int) -> Record:
    """Return a trial as if it had so many test images."""
    splits = record.data.splits | {"test": replace(record.data.splits["test"], num_images=num_images)}
    return replace(record, data=replace(record.data, splits=splits))


@pytest.mark.parametrize(("num_images", "num_classes"), [(1, 2), (18, 3), (1000, 10), (10_000, 200)])
def test_the_best_guess_is_the_quantile_of_the_binomial_distribution(num_images: int, num_classes: int) -> None:
    record = with_test_images(made(spec()), num_images)
    classes = tuple(map(str, range(num_classes)))
    record = replace(record, data=replace(record.data, class_names=classes))
    assert best_guess(record) == stats.binom.ppf(0.99, num_images, 1 / num_classes) / num_images


def test_a_warning_says_that_no_trial_is_better_than_guessing() -> None:
    guesses = configuration(LOW, [0.30, 0.33, 0.40]) + configuration(HIGH, [0.43, 0.37, 16 / 30])
    assert WARNING in compare_records(guesses).warnings
    assert WARNING in compare_records(guesses[:3]).warnings
    better = made(spec(3, lr=HIGH), 17 / 30)
    assert WARNING not in compare_records([*guesses, better]).warnings


def test_a_trial_that_always_predicts_the_largest_class_is_no_better_than_guessing() -> None:
    records = [of_one_class(seed, 0.8) for seed in range(3)]
    assert not any(map(is_better_than_guessing, records))
    assert "no trial on squares is clearly better than guessing" in compare_records(records).warnings[0]


def test_a_trial_that_mostly_predicts_the_largest_class_is_no_better_than_guessing() -> None:
    """The classes have 24, 3 and 3 test images."""
    mostly, better = of_classes(0, 23 / 30, [22 / 24, 1 / 3, 0]), of_classes(1, 26 / 30, [22 / 24, 2 / 3, 2 / 3])
    assert [is_better_than_guessing(record) for record in (mostly, better)] == [False, True]
    (row,) = compare_records([mostly, better]).rows
    assert (row.learning.num_learned, row.learning.others) == (1, {"at chance": 1})
    (warning,) = compare_records([mostly]).warnings
    assert "up to 53.3 % by luck, and more by predicting the largest class: train longer" in warning


def test_without_a_trial_better_than_guessing_none_is_said_to_have_learned() -> None:
    base = configuration(LOW, [0.40, 0.42, 0.41, 0.40])
    comparison = compare_records([*base, *configuration(HIGH, [0.22, 0.25, 0.21]), of_one_class(3, 1 / 3, lr=HIGH)])
    row, tables, sentences = comparison.rows[1], metric_tables(comparison), answer(comparison)
    assert row.cells["test_accuracy"].verdict.words.endswith(", among seeds that predicted several classes")
    assert tables[-1].rows[1][1:4] == ("3 of 4", "30.1 .. 95.4", "1 with one class")
    assert tables[-1].title == "seeds that predicted several classes"
    assert tables[-1].below[0].startswith("seeds that finished and predict more than one class (%)")
    assert sentences[0].startswith("Among seeds that predicted several classes, optimizer.lr=0.005 is")
    assert sentences[-1] == (
        "optimizer.lr=0.005 predicted several classes in 3 of 4 seeds, optimizer.lr=0.001 in 4 of 4."
    )
    assert "learned" not in str((sentences, tables, row.learning.verdict))


def test_verdicts_of_guesses_do_not_say_that_they_learned_either() -> None:
    six = [of_one_class(seed, 1 / 3, lr=HIGH) for seed in range(6)]
    rarely = compare_records([*configuration(LOW, [0.4, 0.41, 0.42, 0.4, 0.41, 0.4]), *six]).rows[1]
    assert rarely.learning.verdict.startswith("predicts several classes less often (p = ")
    few = compare_records([*configuration(LOW, [0.4, 0.41, 0.42]), *six[:3]], question(confidence=0.99))
    assert "only one predicted several classes, with all" in few.rows[1].cells["test_accuracy"].verdict.words
    assert "only one predicted several classes." in answer(few)[0]


def test_a_published_number_is_not_judged_by_guesses_of_which_some_are_of_a_single_class() -> None:
    records = [*configuration(LOW, [0.40, 0.42, 0.41]), of_one_class(3, 1 / 3)]
    expected = Expected(where={"optimizer.lr": LOW}, metric="test_accuracy", value=0.6, source="Table 1")
    (row,) = against_published(records, [expected])
    assert row.why == "3 of 4 trials predicted several classes"


def test_trials_on_a_dataset_of_guesses_did_not_learn_if_those_on_another_did() -> None:
    other = PluginSpec("circles", 1, {})
    guesses = [made(replace(spec(seed), dataset=other), accuracy) for seed, accuracy in enumerate([0.4, 0.42, 0.38])]
    rows = compare_records([*configuration(LOW, [0.7, 0.72, 0.71]), *guesses], question(by=["dataset"])).rows
    assert [row.learning.num_learned for row in rows] == [3, 0]


def test_a_seed_that_had_bad_luck_with_few_test_images_counts_as_the_others() -> None:
    low, high = [9 / 18, 12 / 18, 7 / 18], [8 / 18, 9 / 18, 8 / 18]
    records = [with_test_images(record, 18) for record in (*configuration(LOW, low), *configuration(HIGH, high))]
    row = compare_records(records).rows[1]
    cell = row.cells["test_accuracy"]
    assert [each.learning.others for each in compare_records(records).rows] == [{}, {}]
    assert cell.contrast is not None
    assert cell.contrast.n == (3, 3)
    assert cell.verdict.kind == "not distinguishable"
    unlucky = [with_test_images(record, 18) for record in configuration(LOW, [12 / 18, 13 / 18, 6 / 18])]
    assert compare_records(unlucky).rows[0].learning.others == {"at chance": 1}, "luck does not explain that"


def test_trials_on_another_number_of_classes_are_judged_by_themselves() -> None:
    good = configuration(LOW, [0.95, 0.96, 0.97])
    stuck = [
        replace(record, data=replace(record.data, class_names=record.data.class_names[:2]))
        for record in configuration(HIGH, [0.5, 0.5, 0.5])
    ]
    rows = compare_records([with_test_images(record, 1000) for record in (*good, *stuck)]).rows
    assert [row.learning.others for row in rows] == [{}, {"at chance": 3}]
