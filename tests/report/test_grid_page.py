"""What MLflow shows of a whole grid: what is said, in which words, and what is never left out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import made_records

from benchbench.compare import compare_records
from benchbench.compare.groups import ComparedGroup
from benchbench.config import grid_file
from benchbench.records.record import best
from benchbench.report.grid_page import MAX_CHARACTERS, GridPage, grid_page, trials_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.config.grid_file import GridFile
    from benchbench.records.record import Record

TEXT = """
question = "Which rate?"
model = "alexnet"
dataset = "squares"
optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] } }
seeds = [0, 1, 2]

[compare]
metrics = ["test_accuracy", "train_seconds"]
baseline = { "optimizer.lr" = 0.2 }
"""
LOW, HIGH = made_records.configuration(0.1, [0.50, 0.52, 0.57]), made_records.configuration(0.2, [0.60, 0.63, 0.66])


@pytest.fixture
def grid(tmp_path: Path) -> GridFile:
    (tmp_path / "rates.toml").write_text(TEXT)
    return grid_file.load(tmp_path / "rates.toml")


def page(grid: GridFile, records: list[Record], *, num_trials: int = 6, headings: Sequence[str] = ("",)) -> GridPage:
    """Return the page of records, which stand for each of several groups."""

    def compare() -> list[ComparedGroup]:
        comparison = compare_records(records, grid.question)
        return [ComparedGroup(heading, tuple(records), comparison) for heading in headings]

    return grid_page(grid, TEXT, records, num_trials=num_trials, compare=compare)


def test_the_description_has_question_results_and_verdicts_as_the_file_asks(grid: GridFile) -> None:
    lines = page(grid, [*LOW, *HIGH]).note.splitlines()
    assert lines[0] == "**Which rate?**"
    # The answer comes second: MLflow's page shows the first lines only, unless it is asked for more.
    assert lines[2].startswith("optimizer.lr=0.1 is 10.0 points less accurate than optimizer.lr=0.2")
    assert lines.index("6 trials: 6 finished") > 2
    assert lines[lines.index("```text") + 1].startswith("test_accuracy, difference from optimizer.lr=0.2")
    assert any(
        line.startswith("| `optimizer.lr=0.2` (best by validation) | 63.0 ± 3.0 (n=3) | 4.50 ± 0.00 (n=3) |")
        for line in lines
    )
    verdict = next(line for line in lines if line.startswith("- `optimizer.lr=0.1`, test_accuracy: "))
    assert "worse (p = " in verdict
    assert "-10.00 [" in verdict
    assert verdict.endswith("] points")
    assert "Against `optimizer.lr=0.2`:" in lines


def test_of_equal_accuracies_the_lower_loss_is_the_best_in_whatever_order_trials_end() -> None:
    (first, second, third) = made_records.configuration(0.1, [0.5, 0.5, 0.4])
    assert second.final is not None
    second = replace(second, final=replace(second.final, val_loss=second.final.val_loss - 0.1))
    for records in ([first, second, third], [third, second, first]):
        assert best(records) is second
        rows = json.loads(trials_table(records))
        seeds = [row[rows["columns"].index("seed")] for row in rows["data"]]
        assert seeds == [1, 0, 2]


def test_trials_that_did_not_finish_are_counted(grid: GridFile) -> None:
    failed = made_records.ended(made_records.spec(2, lr=0.1), "failed")
    text = page(grid, [*LOW[:2], failed, *HIGH[:2]]).note
    assert "6 trials: 4 finished, 1 failed, 1 not started" in text
    assert "(n=2) | 1 failed |" in text


def test_without_results_the_reason_stands_in_their_place(grid: GridFile) -> None:
    made = page(grid, [made_records.ended(made_records.spec(0, lr=0.1), "killed")])
    assert "6 trials: 1 killed, 5 not started" in made.note
    assert "Nothing is compared: no trial has finished: 1 killed" in made.note
    nothing = page(grid, [])
    assert "6 trials: 6 not started" in nothing.note
    assert set(nothing.files) == {"grid.toml"}


def test_one_configuration_has_results_and_no_verdicts(grid: GridFile) -> None:
    alone = replace(grid, question=grid.question.model_copy(update={"baseline": {}}))
    text = page(alone, LOW, num_trials=3).note
    assert "53.0 ± 3.6 (n=3)" in text
    assert "Against" not in text


def test_a_warning_is_shown_of_one_configuration_too(grid: GridFile) -> None:
    alone = replace(grid, question=grid.question.model_copy(update={"baseline": {}}))
    text = page(alone, made_records.configuration(0.1, [0.30, 0.33, 0.40]), num_trials=3).note
    assert "Warning: no trial on squares is clearly better than guessing" in text


def test_a_question_without_an_answer_is_said_and_the_rest_stays(grid: GridFile) -> None:
    odd = replace(grid, question=grid.question.model_copy(update={"metrics": ("tset_accuracy",)}))
    made = page(odd, [*LOW, *HIGH])
    assert "Nothing is compared: no trial has a metric 'tset_accuracy'" in made.note
    assert set(made.files) == {"grid.toml", "trials.json"}


def test_the_table_has_a_row_for_each_trial_best_first() -> None:
    failed = made_records.ended(made_records.spec(2, lr=0.3), "failed")
    table = json.loads(trials_table([*LOW, failed, *HIGH]))
    assert table["columns"][:4] == ["optimizer lr", "seed", "status", "num_epochs"]
    assert [row[table["columns"].index("test_accuracy")] for row in table["data"]] == [
        0.66,
        0.63,
        0.6,
        0.57,
        0.52,
        0.5,
        None,
    ]


def test_the_table_has_small_parameters_as_they_are_in_the_spec() -> None:
    records = [record for lr in (1e-7, 3e-17) for record in made_records.configuration(lr, [1 / 3])]
    table = json.loads(trials_table(records))
    rates, accuracies = (
        [row[table["columns"].index(name)] for row in table["data"]] for name in ("optimizer lr", "test_accuracy")
    )
    assert rates == [1e-7, 3e-17]
    assert accuracies == [0.333333] * 2


def test_a_description_that_mlflow_would_not_take_loses_lines_and_says_how_many(grid: GridFile) -> None:
    many = [record for place in range(150) for record in made_records.configuration(1 + place, [0.5, 0.6])]
    asked = replace(grid, question=grid.question.model_copy(update={"baseline": {}}))
    text = page(asked, many, num_trials=300).note
    assert len(text) < MAX_CHARACTERS + 100
    assert "lines more than fit here are left out" in text
    assert "300 trials: 300 finished" in text


@pytest.mark.parametrize("num_groups", [6, 40])
def test_a_description_of_many_groups_has_no_half_of_a_plot_and_still_says_where_the_rest_is(
    grid: GridFile, num_groups: int
) -> None:
    many = [
        record for rate in range(13) for record in made_records.configuration(0.1 + rate, [0.5 + rate / 100, 0.6, 0.62])
    ]
    asked = replace(grid, question=grid.question.model_copy(update={"baseline": {}}))
    headings = [f"dataset=photos{number}" for number in range(num_groups)]
    text = page(asked, many, num_trials=39 * num_groups, headings=headings).note
    assert len(text) < MAX_CHARACTERS + 100
    assert text.count("```text\n") == text.count("```\n") == 1
    assert "### dataset=photos0" in text
    assert (f"### {headings[-1]}" in text) == (num_groups == 6)
    assert "All trials are in `trials.json`" in text
    assert "lines more than fit here are left out" in text
