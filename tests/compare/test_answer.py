"""The answer of a comparison in sentences."""

from __future__ import annotations

from dataclasses import replace

from support.made_records import configuration, ended, made, spec

from benchbench.compare import compare_records
from benchbench.compare.answer import answer
from benchbench.config.compare_section import read_comparison
from benchbench.config.spec import PluginSpec


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


def test_an_answer_without_a_test_says_why_and_claims_nothing() -> None:
    (sentence,) = answer(compare_records(configuration(0.1, [0.50, 0.51]) + configuration(0.2, [0.9001, 0.9102])))
    assert "not distinguishable" not in sentence
    assert sentence.startswith("optimizer.lr=0.2 and optimizer.lr=0.1, test_accuracy: +40.0 points (95 %: ")
    assert sentence.endswith("2 seeds); not compared: too few seeds: n = 2, and a verdict needs 3.")


def test_a_difference_among_seeds_that_learned_is_called_so() -> None:
    records = configuration(0.1, [0.60, 0.61, 0.62, 0.61, 0.60, 0.615])
    records += configuration(0.2, [0.70, 0.711, 0.72, 0.715, 0.34, 0.33])
    first, learned = answer(compare_records(records))
    assert first.startswith("Among seeds that learned, optimizer.lr=0.2 is 10.2 points more accurate")
    assert learned.startswith("optimizer.lr=0.2 learned in 4 of 6 seeds")


def test_what_a_permutation_test_does_not_show_is_said_in_the_answer() -> None:
    baseline = [0.60, 0.62, 0.59, 0.61, 0.63, 0.58]
    more = [0.010, 0.011, 0.012, 0.0105, 0.0115, -0.001]
    records = configuration(0.1, baseline)
    records += configuration(0.2, [value + change for value, change in zip(baseline, more, strict=True)])
    (sentence,) = answer(compare_records(records))
    assert sentence.endswith("; 6 seeds); a permutation test does not show it (p = 0.062).")


def test_a_difference_that_only_the_correction_hides_is_told_with_it() -> None:
    records = configuration(0.1, [0.50, 0.52, 0.51, 0.53]) + configuration(0.2, [0.52, 0.56, 0.52, 0.58])
    records += configuration(0.3, [0.40, 0.48, 0.31, 0.44]) + configuration(0.4, [0.40, 0.45, 0.46, 0.48])
    (sentence,) = answer(compare_records(records))
    assert "; not distinguishable after correction (p = " in sentence


def test_a_small_difference_is_not_called_none() -> None:
    records = configuration(0.1, [0.990, 0.991, 0.9905]) + configuration(0.2, [0.9904, 0.99141, 0.99089])
    (sentence,) = answer(compare_records(records))
    assert "0.040 points more accurate" in sentence


def test_a_row_without_the_key_is_called_by_what_it_lacks() -> None:
    bare = replace(spec(), model=PluginSpec("line", 1, {}))
    records = [*configuration(0.1, [0.5, 0.6]), *(made(replace(bare, seed=seed), 0.7) for seed in (0, 1))]
    comparison = compare_records(records, read_comparison({"compare": {"by": ["model.dropout"]}})[0])
    assert [row.name for row in comparison.rows] == ["model.dropout=0.5", "no model.dropout"]
    assert [[row.has(record.spec) for record in records] for row in comparison.rows] == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_the_only_configuration_with_results_is_the_one_that_is_told() -> None:
    records = [ended(spec(0, lr=10.0), "failed"), *configuration(0.1, [0.5, 0.52])]
    question = read_comparison({"compare": {"baseline": {"optimizer.lr": 0.1}}})[0]
    (sentence,) = answer(compare_records(records, question))
    assert sentence.startswith("optimizer.lr=0.1: test_accuracy is 51.0")
