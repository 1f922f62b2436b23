"""Trials that are no better than guessing; the made ones have 30 test images of three classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scipy import stats
from support.comparisons import HIGH, LOW
from support.made_records import configuration, made, spec

from benchbench.compare import compare_records
from benchbench.compare.guessing import best_guess, is_better_than_guessing

if TYPE_CHECKING:
    from benchbench.records.record import Record

WARNING = (
    "no trial on squares is clearly better than guessing, which gets 33.3 % of 30 test images right on average and"
    " up to 53.3 % by luck: train longer, check the images, or test on more of them, before you compare"
)


def of_one_class(seed: int, accuracy: float, *, lr: float = LOW) -> Record:
    """Return a trial that predicts a single class, which so many of the test images have."""
    record = made(spec(seed, lr=lr), accuracy)
    assert record.final is not None
    names = record.data.class_names
    return replace(
        record, final=replace(record.final, test_accuracy_per_class=dict.fromkeys(names, 0.0) | {names[0]: 1.0})
    )


@pytest.mark.parametrize(("num_images", "num_classes"), [(1, 2), (18, 3), (1000, 10), (10_000, 200)])
def test_the_best_guess_is_the_quantile_of_the_binomial_distribution(num_images: int, num_classes: int) -> None:
    record = made(spec())
    splits = record.data.splits | {"test": replace(record.data.splits["test"], num_images=num_images)}
    classes = tuple(map(str, range(num_classes)))
    record = replace(record, data=replace(record.data, splits=splits, class_names=classes))
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
    assert WARNING in compare_records(records).warnings
