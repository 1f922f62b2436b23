"""The answer of a comparison in sentences."""

from __future__ import annotations

from support.made_records import configuration, ended, spec

from benchbench.compare import compare_records
from benchbench.compare.answer import answer
from benchbench.config.compare_section import read_comparison


def test_the_answer_says_how_much_better_the_best_configuration_is_with_interval_and_seeds() -> None:
    records = configuration(0.1, [0.50, 0.52, 0.51]) + configuration(0.2, [0.60, 0.63, 0.61])
    assert answer(compare_records(records)) == (
        "optimizer.lr=0.2 is 10.3 points more accurate than optimizer.lr=0.1 (95 %: +8.9 to +11.8; 3 seeds).",
    )


def test_a_best_baseline_is_held_against_the_next_best() -> None:
    records = configuration(0.1, [0.80, 0.82, 0.81]) + configuration(0.2, [0.60, 0.63, 0.61])
    (sentence,) = answer(compare_records(records))
    assert sentence.startswith("optimizer.lr=0.2 is 19.7 points less accurate than optimizer.lr=0.1")


def test_a_difference_that_is_not_shown_is_called_so() -> None:
    records = configuration(0.1, [0.50, 0.60, 0.55]) + configuration(0.2, [0.60, 0.51, 0.56])
    (sentence,) = answer(compare_records(records))
    assert sentence.startswith(
        "optimizer.lr=0.2 and optimizer.lr=0.1 are not distinguishable in test_accuracy: +0.7 points"
    )


def test_the_first_time_has_a_sentence_of_its_own() -> None:
    question = read_comparison({"compare": {"metrics": ["test_accuracy", "train_seconds"]}})[0]
    records = configuration(0.1, [0.50, 0.52, 0.51]) + configuration(0.2, [0.60, 0.63, 0.61])
    assert [sentence.partition(" (")[0] for sentence in answer(compare_records(records, question))] == [
        "optimizer.lr=0.2 is 10.3 points more accurate than optimizer.lr=0.1",
        "optimizer.lr=0.2 and optimizer.lr=0.1, train_seconds: equal in all trials",
    ]


def test_one_configuration_has_nothing_to_be_compared_with() -> None:
    (sentence,) = answer(compare_records([*configuration(0.1, [0.5, 0.52]), ended(spec(7, lr=0.1), "failed")]))
    assert sentence == "all trials: test_accuracy is 51.0 ± 1.4 % (n=2). There is nothing to compare it with."
