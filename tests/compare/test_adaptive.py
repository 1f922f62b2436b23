"""Designs that add seeds, followed through made records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.made_records import configuration, ended, made, spec

from benchbench.compare.adaptive import replay_looks, summary
from benchbench.compare.designed_comparison import compare_by_design
from benchbench.config.compare_section import Question, read_comparison
from benchbench.config.design import Design

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare import Cell, Comparison
    from benchbench.records.record import Record

ACCURACIES = [0.60, 0.63, 0.61, 0.64, 0.60, 0.62]
BASELINE, OTHER, THIRD = 0.001, 0.005, 0.01
DESIGN = Design(seeds=tuple(range(6)), looks=(3, 6), num_configurations=2)


def question(**changes: Any) -> Question:
    return read_comparison({"compare": {"baseline": {"optimizer.lr": BASELINE}, **changes}})[0]


def shifted(lr: float, shifts: Sequence[float]) -> list[Record]:
    """Return trials that differ from those of the baseline by these numbers."""
    values = zip(ACCURACIES, shifts, strict=False)
    return configuration(lr, [accuracy + shift for accuracy, shift in values])


def cell_of(comparison: Comparison, lr: float) -> Cell:
    (row,) = (row for row in comparison.rows if row.where == {"optimizer.lr": lr})
    return row.cells["test_accuracy"]


def test_a_clear_difference_is_decided_at_the_first_look_and_needs_no_more_seeds() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    progress = replay_looks(records, question(), DESIGN)
    assert (progress.is_over, progress.next_seeds) == (True, ())
    verdict = cell_of(progress.comparison, OTHER).verdict
    assert verdict.kind == "better"
    assert verdict.words.startswith("better at 3 seeds (p = ")


def test_an_unclear_difference_asks_for_the_seeds_of_the_next_look() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, -0.05, 0.03])
    progress = replay_looks(records, question(), DESIGN)
    assert progress.next_seeds == (0, 1, 2, 3, 4, 5)
    assert progress.wants(spec(4, lr=OTHER))
    assert cell_of(progress.comparison, OTHER).verdict.words.startswith("not decided yet with 3 of up to 6 seeds")


def test_a_decided_configuration_gets_no_more_seeds_while_the_others_go_on() -> None:
    design = Design(seeds=DESIGN.seeds, looks=DESIGN.looks, num_configurations=3)
    records = [
        *configuration(BASELINE, ACCURACIES[:3]),
        *shifted(OTHER, [0.1, 0.101, 0.099]),
        *shifted(THIRD, [0.1, -0.05, 0.03]),
    ]
    progress = replay_looks(records, question(), design)
    assert [progress.wants(spec(4, lr=lr)) for lr in (BASELINE, OTHER, THIRD)] == [True, False, True]
    more = configuration(BASELINE, ACCURACIES[3:], first_seed=3) + configuration(THIRD, [0.66, 0.59, 0.7], first_seed=3)
    end = replay_looks([*records, *more], question(), design)
    assert end.is_over
    assert [len(cell_of(end.comparison, lr).values) for lr in (OTHER, THIRD)] == [3, 6]
    assert cell_of(end.comparison, OTHER).verdict == cell_of(progress.comparison, OTHER).verdict


def test_no_look_is_taken_before_all_of_its_trials_have_ended() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101])
    assert replay_looks(records, question(), DESIGN).comparisons == ()
    running = ended(spec(2, lr=OTHER), "running")
    assert replay_looks([*records, running], question(), DESIGN).comparisons == ()
    words = cell_of(compare_by_design(records, question(), DESIGN), OTHER).verdict.words
    assert words == "not compared: not judged before the first look, at 3 seeds of each configuration"


def test_the_same_records_in_any_order_come_to_the_same_decisions() -> None:
    records = configuration(BASELINE, ACCURACIES) + shifted(OTHER, [0.05, 0.01, 0.04, 0.03, 0.05, 0.02])
    ahead, behind = (replay_looks(order, question(), DESIGN) for order in (records, records[::-1]))
    assert ahead.decisions == behind.decisions
    assert len(ahead.comparisons) == 2


def test_a_failed_trial_counts_as_ended_and_its_seed_is_left_out() -> None:
    others = shifted(OTHER, [0.1, 0.101, 0.099])
    records = configuration(BASELINE, ACCURACIES[:3]) + others[:2] + [ended(spec(2, lr=OTHER), "failed")]
    progress = replay_looks(records, question(), DESIGN)
    assert len(progress.comparisons) == 1
    assert cell_of(progress.comparison, OTHER).summary.n == 2


def test_a_configuration_whose_trials_all_fail_is_given_up_at_the_first_look() -> None:
    failed = [ended(spec(seed, lr=OTHER), "failed") for seed in range(3)]
    progress = replay_looks(configuration(BASELINE, ACCURACIES[:3]) + failed, question(), DESIGN)
    assert progress.is_over
    assert summary(progress, 6)[1] == "Given up at 3 seeds: optimizer.lr=0.005, test_accuracy."


def test_a_metric_that_a_trial_has_no_value_of_gets_no_more_seeds() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, -0.05, 0.03])
    progress = replay_looks(records, question(metrics=["overfit_epoch"]), DESIGN)
    assert progress.is_over
    assert summary(progress, 6)[1] == "Given up at 3 seeds: optimizer.lr=0.005, overfit_epoch."


def test_a_configuration_that_stayed_at_chance_in_three_seeds_is_not_decided_yet() -> None:
    """Of a configuration of which every other seed learns, three in a row are no surprise."""
    at_chance = configuration(OTHER, [0.33, 0.34, 0.32])
    progress = replay_looks(configuration(BASELINE, ACCURACIES[:3]) + at_chance, question(), DESIGN)
    assert progress.decisions["optimizer.lr=0.005", "test_accuracy"].p_value == pytest.approx(1 / 32)
    assert not progress.is_over


def test_intervals_of_a_look_hold_over_all_looks() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.12, 0.09])
    adaptive = cell_of(compare_by_design(records, question(), DESIGN), OTHER).contrast
    alone = cell_of(compare_by_design(records, question(confidence=0.975)), OTHER).contrast
    assert adaptive
    assert alone
    assert adaptive.interval == alone.interval


def test_a_declared_number_of_seeds_is_not_judged_before_it_is_complete() -> None:
    records = configuration(BASELINE, ACCURACIES[:4]) + shifted(OTHER, [0.1, 0.101, 0.099])
    verdict = cell_of(compare_by_design(records, question(seeds=4)), OTHER).verdict
    assert verdict.words == "not compared: not judged before the 4 seeds that were declared have run (3 so far)"
    records.append(made(spec(3, lr=OTHER), 0.74))
    assert cell_of(compare_by_design(records, question(seeds=4)), OTHER).verdict.kind == "better"


def test_targets_are_shown_beside_a_design_and_not_judged() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    asked = question(targets={"val_accuracy": 0.5})
    comparison = compare_by_design(records, asked, DESIGN)
    (row,) = (row for row in comparison.rows if row.where == {"optimizer.lr": OTHER})
    assert row.cells["test_accuracy"].verdict.kind == "better"
    cell = row.cells["epochs_to_val_accuracy=0.5"]
    assert cell.summary.mean == 2
    assert cell.verdict.words == "not compared: targets are no part of `decide`"
    assert {metric.name for metric in comparison.metrics} == set(row.cells)


def test_a_configuration_with_later_seeds_has_no_row_in_a_design_and_a_warning_names_it() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    assert compare_by_design(records, question(), DESIGN).warnings == ()
    for first_seed in (3, 100):
        beside = [*configuration(THIRD, [0.7, 0.71], first_seed=first_seed), made(spec(9, lr=OTHER, batch_size=24))]
        comparison = compare_by_design([*records, *beside], question(), DESIGN)
        assert cell_of(comparison, OTHER).verdict.kind == "better"
        (warning,) = comparison.warnings
        assert warning == (
            "left out are configurations with none of the seeds 0, 1, 2:"
            " optimizer.lr=0.01 batch_size=12 (2 trials); optimizer.lr=0.005 batch_size=24 (1 trial)"
        )


def test_a_declared_number_of_seeds_is_not_judged_before_each_configuration_has_them() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    late = configuration(THIRD, [0.7, 0.71, 0.72], first_seed=3)
    comparison = compare_by_design([*records, *late], question(seeds=3))
    assert "have run (0 so far)" in cell_of(comparison, OTHER).verdict.words
    assert cell_of(comparison, THIRD).summary.n == 3
    (warning,) = comparison.warnings
    assert warning == "verdicts wait for configurations with none of the seeds 0, 1, 2: optimizer.lr=0.01 (3 trials)"
    complete = compare_by_design([*records, *late, *configuration(THIRD, [0.7, 0.71, 0.72])], question(seeds=3))
    assert [row.cells["test_accuracy"].verdict.kind for row in complete.rows] == ["baseline", "better", "better"]
    assert complete.warnings == ()


def test_targets_are_those_of_the_trials_of_the_design_alone() -> None:
    """Trials of its configurations with other seeds, and others that differ in more, are no part of it."""
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    beside = [
        *(made(spec(9, lr=lr, batch_size=24), 0.5) for lr in (BASELINE, OTHER)),
        *configuration(OTHER, [0.7], first_seed=20),
    ]
    for asked in (question(targets={"val_accuracy": 0.5}), question(targets={"val_accuracy": 0.5}, baseline={})):
        alone = compare_by_design(records, asked, DESIGN)
        comparison = compare_by_design([*records, *beside], asked, DESIGN)
        assert comparison.rows == alone.rows
        assert len(comparison.rows[0].cells["seconds_to_val_accuracy=0.5"].values) == 3


def test_targets_beside_a_design_have_its_baseline() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, -0.05, 0.03])
    ahead = configuration(OTHER, [0.6], first_seed=3)
    asked = question(targets={"val_accuracy": 0.5}, baseline={})
    comparison = compare_by_design([*ahead, *records], asked, DESIGN)
    kinds = [row.cells["epochs_to_val_accuracy=0.5"].verdict.kind for row in comparison.rows]
    assert kinds == ["baseline" if row.is_baseline else "not compared" for row in comparison.rows]
    assert comparison.baseline.where == {"optimizer.lr": BASELINE}


def test_a_declared_number_is_one_of_seeds_and_not_of_trials() -> None:
    records = [
        made(spec(seed, lr=lr, batch_size=batch_size), accuracy)
        for lr, accuracies in ((BASELINE, ACCURACIES[:4]), (OTHER, [0.8, 0.81]))
        for seed, accuracy in enumerate(accuracies)
        for batch_size in (12, 24)
    ]
    comparison = compare_by_design(records, question(seeds=4, by=["optimizer.lr"]))
    assert "have run (2 so far)" in cell_of(comparison, OTHER).verdict.words


def test_seeds_beyond_those_declared_are_not_judged() -> None:
    records = configuration(BASELINE, ACCURACIES) + shifted(OTHER, [0.1, 0.101, 0.099, 0.1, 0.1, -0.5])
    comparison = compare_by_design(records, question(seeds=5))
    assert cell_of(comparison, OTHER).summary.n == 5
    assert "seeds: 5, as declared; 1 more are not judged" in comparison.facts


@pytest.mark.parametrize("num_trials", [5, 6])
def test_the_summary_compares_with_a_fixed_design(num_trials: int) -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    first = summary(replay_looks(records, question(), DESIGN), num_trials)[0]
    assert first.startswith(f"1 of 1 comparisons decided with {num_trials} trials. A fixed design of the same power")


def test_a_metric_of_a_target_beside_a_design_is_shown_as_targets_are() -> None:
    records = configuration(BASELINE, ACCURACIES[:3]) + shifted(OTHER, [0.1, 0.101, 0.099])
    target = "epochs_to_val_accuracy=0.5"
    asked = question(metrics=["test_accuracy", target], targets={"val_accuracy": 0.5})
    (row,) = (row for row in compare_by_design(records, asked, DESIGN).rows if row.where == {"optimizer.lr": OTHER})
    assert row.cells["test_accuracy"].verdict.kind == "better"
    assert row.cells[target].verdict.words == "not compared: targets are no part of `decide`"


def test_a_declared_number_of_seeds_is_that_of_each_configuration_in_a_row() -> None:
    records = [
        made(spec(seed, lr=lr, batch_size=batch_size), accuracy)
        for lr, accuracies in ((BASELINE, ACCURACIES[:4]), (OTHER, [0.8, 0.81, 0.8, 0.82]))
        for seed, accuracy in enumerate(accuracies)
        for batch_size in (12, 24)
    ]
    asked = question(seeds=4, by=["optimizer.lr"])
    assert cell_of(compare_by_design(records, asked), OTHER).verdict.kind == "better"
    assert "have run (3 so far)" in cell_of(compare_by_design(records[:-1], asked), OTHER).verdict.words
