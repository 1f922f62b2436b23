"""Comparisons of made records, of which it is known what is true."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.comparisons import HIGH, LOW, only_cell, question
from support.made_records import configuration, ended, events, made, spec

from benchbench.compare import compare_records
from benchbench.compare.answer import answer
from benchbench.compare.caveats import few_seeds_of_baseline, late_baseline_warnings
from benchbench.compare.formatting import mean, value
from benchbench.compare.metric_values import Target
from benchbench.errors import SpecError
from benchbench.records.events import Resumed, Started
from benchbench.records.record import Record

if TYPE_CHECKING:
    from benchbench.config.compare_section import Question


def test_one_trial_gives_no_interval_and_says_so() -> None:
    comparison = compare_records(configuration(LOW, [0.5]) + configuration(HIGH, [0.6]))
    cell = only_cell(comparison)
    assert cell.summary.interval is None
    assert cell.contrast is not None
    assert cell.contrast.interval is None
    assert mean(cell.summary, comparison.metrics[0]) == "60.0 (n=1)"
    assert cell.verdict.kind == "not compared"
    assert "n = 1" in cell.verdict.words
    assert comparison.num_comparisons == 0


def test_two_seeds_are_too_few_for_a_verdict_but_have_an_interval() -> None:
    comparison = compare_records(configuration(LOW, [0.50, 0.51]) + configuration(HIGH, [0.9001, 0.9102]))
    cell = only_cell(comparison)
    assert cell.verdict.words == "not compared: too few seeds: n = 2, and a verdict needs 3"
    assert cell.contrast is not None
    assert cell.contrast.interval is not None
    assert comparison.num_comparisons == 0


def test_failed_trials_are_counted_and_never_compared() -> None:
    records = configuration(LOW, [0.5, 0.51, 0.52]) + configuration(HIGH, [0.6, 0.61])
    records += [
        ended(spec(2, lr=HIGH), "failed"),
        ended(spec(3, lr=HIGH), "killed"),
        ended(spec(4, lr=HIGH), "running"),
    ]
    row = compare_records(records).rows[1]
    assert row.statuses == {"finished": 2, "failed": 1, "killed": 1, "running": 1}
    assert row.cells["test_accuracy"].summary.n == 2


def test_a_row_of_failed_trials_stays_in_the_table() -> None:
    records = [*configuration(LOW, [0.5, 0.51]), ended(spec(0, lr=HIGH), "failed")]
    row = compare_records(records).rows[1]
    assert row.cells["test_accuracy"].verdict.words == "not compared: no trial of this row has finished"
    baseline_failed = compare_records(records, question(baseline={"optimizer.lr": HIGH}))
    assert only_cell(baseline_failed).verdict.words == "not compared: no trial of the baseline has finished"


def test_a_printed_comparison_is_its_answer() -> None:
    comparison = compare_records(configuration(LOW, [0.50, 0.52, 0.51]) + configuration(HIGH, [0.60, 0.63, 0.61]))
    assert str(comparison) == " ".join(answer(comparison))
    assert comparison._repr_html_() == f"<p>{comparison}</p>"


def test_a_repeated_trial_is_no_new_draw() -> None:
    records = configuration(LOW, [0.5, 0.51]) + configuration(LOW, [0.6]) + [ended(spec(1, lr=LOW), "failed")]
    (row,) = compare_records(records).rows
    assert row.cells["test_accuracy"].values == {"seed=0": 0.6, "seed=1": 0.51}
    assert row.statuses == {"finished": 2}


def test_the_best_is_chosen_by_validation_and_test_is_reported() -> None:
    records = [made(spec(seed, lr=LOW), 0.7, val=0.5) for seed in range(2)]
    records += [made(spec(seed, lr=HIGH), 0.6, val=0.55) for seed in range(2)]
    rows = compare_records(records).rows
    assert [row.is_best for row in rows] == [False, True]
    assert rows[1].cells["test_accuracy"].summary.mean == pytest.approx(0.6)


def test_trials_that_never_reach_a_target_are_kept_and_counted() -> None:
    fast, slow = configuration(LOW, [0.5, 0.6, 0.7]), configuration(HIGH, [0.5, 0.6, 0.7])
    for place in (0, 1):
        never = tuple(replace(epoch, val_accuracy=0.1) for epoch in slow[place].epochs)
        slow[place] = replace(slow[place], epochs=never)
    comparison = compare_records(fast + slow, question(targets={"val_accuracy": 0.7}))
    epochs, seconds = comparison.metrics[1:]
    assert [epochs.name, seconds.name] == ["epochs_to_val_accuracy=0.7", "seconds_to_val_accuracy=0.7"]
    reached, censored = (row.cells[epochs.name] for row in comparison.rows)
    assert reached.summary.mean == 2.0
    assert comparison.rows[0].cells[seconds.name].summary.mean == pytest.approx(3.5)
    assert (censored.num_reached, len(censored.values)) == (1, 3)
    assert value(censored, epochs) == "> 3.0 (1 of 3)"
    assert censored.verdict.words == "not compared: reached by 1 of 3 trials, in the baseline by 3 of 3"
    assert value(comparison.rows[1].cells[seconds.name], seconds) == "> 5.25 (1 of 3)"


def test_the_median_counts_what_was_never_reached_as_longer_than_any() -> None:
    trials = [made(spec(seed, lr=LOW)) for seed in range(3)]
    trials[0] = replace(trials[0], epochs=tuple(replace(epoch, val_loss=9.0) for epoch in trials[0].epochs))
    comparison = compare_records(trials, question(targets={"val_loss": 1.1}))
    cell = comparison.rows[0].cells["epochs_to_val_loss=1.1"]
    assert value(cell, comparison.metrics[1]) == "median 2.0 (2 of 3)"


def test_if_half_of_the_trials_reach_a_target_the_median_is_only_known_to_be_above_the_middle() -> None:
    trials = [made(spec(seed, lr=LOW)) for seed in range(4)]
    for number in (0, 1):
        trials[number] = replace(
            trials[number], epochs=tuple(replace(epoch, val_loss=9.0) for epoch in trials[number].epochs)
        )
    comparison = compare_records(trials, question(targets={"val_loss": 1.1}))
    cell = comparison.rows[0].cells["epochs_to_val_loss=1.1"]
    assert [value for value in cell.values.values() if value] == [2.0, 2.0]
    assert value(cell, comparison.metrics[1]) == "> 2.5 (2 of 4)", "2 and something above 3"


def test_configurations_that_a_row_pools_are_no_seeds() -> None:
    records = [
        made(spec(0, lr=lr, batch_size=size), accuracy + number / 100)
        for lr, accuracies in ((LOW, (0.5, 0.51, 0.505)), (HIGH, (0.53, 0.539, 0.54)))
        for number, (size, accuracy) in enumerate(zip((8, 16, 32), accuracies, strict=True))
    ]
    comparison = compare_records(records, question(by=["optimizer.lr"]))
    assert only_cell(comparison).verdict.words == "not compared: too few seeds: 1 in 3 trials, and a verdict needs 3"
    assert "; 3 trials)" in answer(comparison)[0]


def test_rows_that_pool_other_differences_are_pointed_out_and_paired_within_them() -> None:
    records = [
        made(spec(seed, lr=lr, batch_size=size), accuracy + seed / 100 + (0.1 if size == 32 else 0) + noise)
        for lr, accuracy in ((LOW, 0.5), (HIGH, 0.52))
        for size in (12, 32)
        for seed, noise in enumerate((0.0, 0.001 * lr * 1000))
    ]
    comparison = compare_records(records, question(by=["optimizer.lr"]))
    cell = only_cell(comparison)
    assert len(comparison.rows) == 2
    assert cell.contrast is not None
    assert cell.contrast.n == (4, 4)
    assert cell.contrast.is_paired
    assert any("pool trials that differ in batch_size" in warning for warning in comparison.warnings)


def test_what_differs_between_rows_and_is_not_asked_for_is_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6]) + [made(spec(seed, lr=HIGH, batch_size=32)) for seed in range(2)]
    assert compare_records(records, question(by=["batch_size"])).warnings == ("the rows also differ in optimizer.lr",)


def test_machines_that_are_confounded_with_configurations_are_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    other = replace(records[0].machine, hostname="elsewhere")
    mixed = [replace(record, machine=other if record.spec.seed else record.machine) for record in records]
    assert compare_records(mixed).warnings == ()
    (warning,) = compare_records(mixed, question(metrics=["seconds_per_epoch"])).warnings
    assert "times of 2 machines" in warning
    assert "elsewhere" in warning
    apart = [replace(record, machine=other if record in records[2:] else record.machine) for record in records]
    (warning,) = compare_records(apart).warnings
    assert warning.startswith("configurations ran on different machines, which may cause a difference: ")
    threads = replace(records[0].machine, num_threads=7)
    apart = [replace(record, machine=threads if record in records[2:] else record.machine) for record in records]
    (warning,) = compare_records(apart).warnings
    assert "7 threads" in warning


def test_the_slow_first_epoch_is_not_compared_with_later_ones() -> None:
    def trials(num_epochs: int) -> list[Record]:
        """Return trials whose first epoch is slow."""
        records = [made(spec(seed, epochs=num_epochs)) for seed in range(3)]
        slow = replace(records[0].epochs[0], train_seconds=9.0, images_per_second=100.0)
        return [replace(record, epochs=(slow, *record.epochs[1:])[:num_epochs]) for record in records]

    asked = question(metrics=["seconds_per_epoch", "images_per_second", "train_seconds"])
    comparison = compare_records([*trials(3), *trials(1)], asked)
    for metric in comparison.metrics[:2]:
        cell = only_cell(comparison, metric.name)
        assert cell.verdict.words == "not compared: known of 0 of 3 trials, in the baseline of 3 of 3"
        assert value(cell, metric) == "(0 of 3)"
    assert only_cell(comparison, "train_seconds").summary.n == 3
    told = "seconds_per_epoch, images_per_second: left out for 3 of 6 trials, whose only epoch is the first, which is"
    assert comparison.warnings == (f"{told} slower",)
    by_rate = question(by=["optimizer.lr"], metrics=["seconds_per_epoch"])
    beside = [*trials(3), *configuration(0.1, [0.5, 0.6, 0.7])]
    pooled, whole = (compare_records([*beside, *others], by_rate) for others in (trials(1)[:2], []))
    texts = [value(each.rows[0].cells["seconds_per_epoch"], each.metrics[0]) for each in (pooled, whole)]
    assert texts[0].removesuffix(" (3 of 5)") == texts[1].removesuffix(" (n=3)")
    alone = compare_records(trials(1), asked)
    assert alone.rows[0].cells["seconds_per_epoch"].summary.mean == pytest.approx(9.0)
    assert alone.warnings == ()


def test_the_best_row_as_a_baseline_named_late_is_pointed_out() -> None:
    records = [*configuration(1, [0.5, 0.51, 0.52]), *configuration(2, [0.6, 0.61, 0.62])]
    records += configuration(3, [0.55, 0.56, 0.57])
    for lr, which in ((1, "lowest"), (2, "highest"), (3, "")):
        found = late_baseline_warnings(compare_records(records, question(baseline={"optimizer.lr": lr})))
        assert [which in warning for warning in found] == ([True] if which else [])
    assert late_baseline_warnings(compare_records(records[:6])) == ()


def test_a_baseline_that_alone_has_too_few_seeds_is_told_how_to_be_replaced() -> None:
    lone, *others = (
        configuration(0.1, [0.5]),
        configuration(0.2, [0.6, 0.61, 0.62]),
        configuration(0.3, [0.7, 0.71, 0.72]),
    )
    (warning,) = few_seeds_of_baseline(compare_records([*lone, *others[0], *others[1]]))
    assert "the baseline optimizer.lr=0.1 has 1 finished trial, too few for a verdict" in warning
    assert "--baseline optimizer.lr=0.2 names another; --grid FILE" in warning
    assert few_seeds_of_baseline(compare_records([*lone, *others[0]])) == (), "there is no other pair"
    assert few_seeds_of_baseline(compare_records([*others[0], *others[1], *lone])) == ()


def test_other_code_data_and_versions_are_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6])
    versions = {"torch": "9.9"}
    records[1] = replace(
        records[1],
        data_digest="e" * 64,
        plugin_sources={"model": "c" * 64},
        machine=replace(records[1].machine, versions=versions),
    )
    warnings = " / ".join(compare_records(records).warnings)
    assert "the images of squares are not the same in all trials" in warnings
    assert "the code of model alexnet is not the same in all trials" in warnings
    assert "trials ran with torch 2.14.1 and 9.9" in warnings


def test_the_baseline_may_be_named_as_it_is_typed() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    for where in ({"optimizer.lr": HIGH}, {"optimizer.lr": "0.005", "optimizer.name": "sgd"}):
        assert compare_records(records, question(baseline=where)).baseline.where == {"optimizer.lr": HIGH}
    texts = [made(spec(seed, lr=lr), 0.5) for lr in ("18", "34") for seed in (0, 1)]  # type: ignore[arg-type]
    assert compare_records(texts, question(baseline={"optimizer.lr": 34})).baseline.where == {"optimizer.lr": "34"}


BAD_QUESTIONS = [
    (question(by=["optimizer.lrr"]), "no trial has 'optimizer.lrr'", "did you mean 'optimizer.lr'?"),
    (question(by=["epochs"]), "cannot compare by 'epochs': it is 3 in all trials", "what varies: optimizer.lr"),
    (question(by=["optimizer.name"]), "cannot compare by 'optimizer'", ""),
    (question(by=["seed"]), "cannot compare by 'seed'", ""),
    (question(metrics=["test_acuracy"]), "no trial has a metric 'test_acuracy'", "did you mean 'test_accuracy'?"),
    (question(metrics=["nonsense"]), "no trial has a metric 'nonsense'", "all metrics: final_train_accuracy, "),
    (question(baseline={"optimizer.lr": 7}), "no row matches the baseline optimizer.lr=7", "rows: optimizer.lr=0.001;"),
    (question(baseline={"model": "alexnet"}), "matches 2 rows", "name one of them"),
    (question(baseline={"modell": "alexnet"}), "no trial has 'modell'", "did you mean 'model'?"),
    (question(targets={"val_accuracy": 50}), "accuracies are fractions", "write 0.5 for 50 %"),
    (question(targets={"test_accuracy": 0.5}), "not measured after every epoch", ""),
]


@pytest.mark.parametrize(("asked", "message", "hint"), BAD_QUESTIONS, ids=lambda value: str(value)[:40])
def test_a_question_without_an_answer_is_refused_with_a_hint(asked: Question, message: str, hint: str) -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    with pytest.raises(SpecError) as caught:
        compare_records(records, asked)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_trials_without_results_are_no_comparison() -> None:
    with pytest.raises(SpecError, match="no trial has finished: 1 failed, 1 running"):
        compare_records([ended(spec(0), "failed"), ended(spec(1), "running")])


def test_one_configuration_is_described_and_compared_with_nothing() -> None:
    comparison = compare_records(configuration(LOW, [0.5, 0.6, 0.7]))
    (row,) = comparison.rows
    assert row.is_baseline
    assert row.is_best
    assert row.cells["test_accuracy"].verdict.kind == "baseline"


def test_a_value_that_is_not_finite_is_a_warning() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.6])
    assert records[2].final is not None
    records[2] = replace(records[2], final=replace(records[2].final, test_loss=math.inf))
    cell = only_cell(compare_records(records, question(metrics=["test_loss"])), "test_loss")
    assert cell.verdict.words == "not compared: a value is not finite"


def test_an_interval_beyond_all_numbers_is_left_out() -> None:
    records = [
        made(spec(seed, lr=lr), seconds=seconds)
        for lr, times in ((LOW, (1.0, 100.0)), (HIGH, (100.0, 1.0)))
        for seed, seconds in enumerate(times)
    ]
    cell = only_cell(compare_records(records, question(metrics=["train_seconds"], confidence=0.9999)), "train_seconds")
    assert cell.summary.interval is None
    assert cell.contrast is not None
    assert cell.contrast.interval is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_target_that_no_epoch_can_reach_or_miss_is_refused(value: float) -> None:
    with pytest.raises(SpecError, match="is not a finite number"):
        Target.of("val_loss", value)


def test_a_trial_that_was_resumed_elsewhere_counts_for_both_machines() -> None:
    begun, epoch, *rest = events(spec(0, lr=LOW))
    assert isinstance(begun, Started)
    elsewhere = replace(begun.machine, hostname="other", versions=begun.machine.versions | {"torch": "9.9"})
    moved = Record.of([begun, epoch, Resumed(num_epochs=1, machine=elsewhere), *rest])
    assert [machine.hostname for machine in moved.machines] == [begun.machine.hostname, "other"]
    assert Record.from_json(moved.to_json()).machines == moved.machines
    stayed = Record.of([begun, epoch, Resumed(num_epochs=1, machine=begun.machine), *rest])
    assert stayed.machines == (begun.machine,)
    asked = question(metrics=["train_seconds"])
    told = " ".join(compare_records([moved, *configuration(HIGH, [0.5, 0.6])], asked).warnings)
    assert "times of 2 machines are compared" in told
    assert f"trials ran with torch {begun.machine.versions['torch']} and 9.9" in told


def test_keys_that_a_row_pools_do_not_select_the_baseline() -> None:
    records = [
        made(replace(spec(seed, lr=lr), epochs=epochs), 0.5)
        for lr in (LOW, HIGH)
        for epochs in (3, 4)
        for seed in (0, 1)
    ]
    asked = question(by=["optimizer.lr"], baseline={"optimizer.lr": HIGH, "epochs": 3})
    assert compare_records(records, asked).baseline.where == {"optimizer.lr": HIGH}


@pytest.mark.parametrize("baseline", [{"epochs": 3}, {"optimizer.lr": HIGH, "epochs": 7}])
def test_a_baseline_that_no_row_is_alone_in_having_is_refused(baseline: dict[str, Any]) -> None:
    records = [
        made(replace(spec(seed, lr=lr), epochs=epochs), 0.5)
        for lr in (LOW, HIGH)
        for epochs in (3, 4)
        for seed in (0, 1)
    ]
    with pytest.raises(SpecError, match="the baseline"):
        compare_records(records, question(by=["optimizer.lr"], baseline=baseline))
