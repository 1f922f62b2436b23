"""Comparisons that are looked at more than once, on a real MLflow store of made trials."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.made_records import events, spec
from support.results_folders import folder
from support.stores import Filler

from benchbench import export_results, import_results
from benchbench.compare.formatting import caption
from benchbench.config.design import Design
from benchbench.driver.compare import compare
from benchbench.driver.report import report
from benchbench.records.events import Started
from benchbench.records.state import state_folder
from benchbench.tracking import Store
from benchbench.tracking.look_history import MAX_CHARACTERS, LookHistory, open_look_history

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.compare import Comparison

ACCURACIES = {0.001: [0.50, 0.52, 0.57, 0.54, 0.50, 0.53], 0.005: [0.53, 0.54, 0.60, 0.56, 0.52, 0.57]}
DECLARED = """
model = "alexnet"
dataset = "squares"
epochs = 3
batch_size = 12
seeds = [0, 1, 2, 3]
optimizer = { name = "sgd", lr = { grid = [0.001, 0.005] } }

[compare]
seeds = 4
"""


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Store.open(None, "bench")


def run_seeds(store: Store, seeds: Sequence[int]) -> None:
    """Deliver trials of these seeds of two learning rates."""
    filler = Filler(state_folder())
    for lr, accuracies in ACCURACIES.items():
        for seed in seeds:
            filler.trial(store, events(spec(seed, lr=lr), accuracies[seed]))


def warnings_of_looks(comparison: Comparison) -> list[str]:
    return [text.partition(":")[0] for text in comparison.warnings if text.startswith("look ")]


def test_looking_again_after_seeds_were_added_says_so_and_takes_half_the_level(store: Store) -> None:
    run_seeds(store, range(3))
    first = compare()
    assert (first.confidence, warnings_of_looks(first)) == (0.95, [])
    run_seeds(store, range(3, 5))
    second = compare()
    assert second.confidence == pytest.approx(0.975)
    assert warnings_of_looks(second) == ["look 2 at this comparison, after looks at 6 trials"]
    assert second.level_of_looks == pytest.approx(0.075)
    assert "this one has a level of 2.5 %, and all looks together have 7.5 %" in second.warnings[-1]
    assert "their level at this look is 2.5 %, that of all looks together 7.5 %" in caption(second, second.metrics[0])
    run_seeds(store, [5])
    third = compare()
    assert third.confidence == pytest.approx(0.9875)
    assert warnings_of_looks(third) == ["look 3 at this comparison, after looks at 6, 10 trials"]
    assert third.level_of_looks == pytest.approx(0.0875)


def test_looking_at_the_same_trials_again_is_no_new_look(store: Store) -> None:
    run_seeds(store, range(3))
    assert [compare().confidence for _ in range(3)] == [0.95] * 3
    assert compare(metrics=["train_seconds"]).confidence == 0.95


def test_looks_travel_with_their_trials(
    store: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_seeds(store, range(3))
    compare()
    run_seeds(store, range(3, 5))
    compare()
    export_results("results.bench")
    there = folder(tmp_path / "there", empty_database, monkeypatch)
    import_results("../results.bench")
    assert compare().confidence == pytest.approx(0.975)
    run_seeds(there, [5])
    assert warnings_of_looks(compare()) == ["look 3 at this comparison, after looks at 6, 10 trials"]


def test_without_a_verdict_there_was_no_look(store: Store) -> None:
    run_seeds(store, range(2))
    compare()
    run_seeds(store, [2])
    assert compare().confidence == 0.95


def test_a_declared_design_has_the_whole_level_however_often_somebody_looks(store: Store, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(DECLARED, encoding="utf-8")
    run_seeds(store, range(3))
    early = compare(grid="grid.toml")
    (row,) = (row for row in early.rows if not row.is_baseline)
    assert "not judged before the 4 seeds that were declared have run" in row.cells["test_accuracy"].verdict.words
    run_seeds(store, [3])
    assert compare(grid="grid.toml").confidence == 0.95


@pytest.mark.parametrize("declares", ["seeds = 4", "decide = { looks = [3, 4] }"])
def test_a_design_that_is_declared_after_a_look_is_a_second_chance_and_said_so(
    store: Store, tmp_path: Path, declares: str
) -> None:
    run_seeds(store, range(3))
    assert compare().confidence == 0.95
    text = DECLARED.replace("seeds = 4", declares)
    text = text if declares.startswith("seeds") else text.replace("seeds = [0, 1, 2, 3]\n", "")
    (tmp_path / "grid.toml").write_text(text, encoding="utf-8")
    run_seeds(store, [3])
    (warning,) = (warning for warning in compare(grid="grid.toml").warnings if "was judged before" in warning)
    assert warning.startswith("this comparison was judged before, with 6 trials, when `")
    assert warning.endswith("up to 10 %")


def test_declaring_more_and_more_seeds_is_no_declared_design(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    run_seeds(store, range(4))
    file.write_text(DECLARED, encoding="utf-8")
    assert not any("was judged before" in warning for warning in compare(grid="grid.toml").warnings)
    run_seeds(store, range(4, 6))
    more = DECLARED.replace("[0, 1, 2, 3]", "[0, 1, 2, 3, 4, 5]").replace("seeds = 4", "seeds = 6")
    file.write_text(more, encoding="utf-8")
    assert any(
        "was judged before, with 8 trials, when `seeds`" in warning for warning in compare(grid="grid.toml").warnings
    )


def test_seeds_of_the_baseline_alone_and_another_metric_beside_it_are_looks_as_well(store: Store) -> None:
    filler = Filler(state_folder())
    run_seeds(store, range(3))
    for seed in range(3, 6):
        filler.trial(store, events(spec(seed, lr=0.005), ACCURACIES[0.005][seed]))
    assert compare().confidence == 0.95
    for seed in range(3, 6):
        filler.trial(store, events(spec(seed, lr=0.001), ACCURACIES[0.001][seed]))
    second = compare(metrics=["test_accuracy", "val_accuracy"])
    assert second.confidence == pytest.approx(0.975)
    assert warnings_of_looks(second) == ["look 2 at this comparison, after looks at 9 trials"]


def test_trials_that_a_design_leaves_out_may_differ_in_more(store: Store, tmp_path: Path) -> None:
    run_seeds(store, range(4))
    filler = Filler(state_folder())
    for lr in ACCURACIES:
        filler.trial(store, events(spec(9, lr=lr, batch_size=24), 0.5))
    (tmp_path / "grid.toml").write_text(DECLARED, encoding="utf-8")
    assert compare(grid="grid.toml").confidence == 0.95
    store.open_parent("rates", file=tmp_path / "rates.toml", headline="", design=designed(4))
    assert {row.name for row in compare().rows} == {"optimizer.lr=0.001", "optimizer.lr=0.005"}


def test_a_mistake_in_a_comparison_is_not_called_trouble_of_the_store(store: Store) -> None:
    with pytest.raises(KeyError, match="ours"), open_look_history(store.experiment):
        raise KeyError("ours")


def test_looking_again_at_the_same_hundreds_of_tests_is_no_new_look(store: Store) -> None:
    history = LookHistory(store.client, store.experiment_id)
    tests = {f"test {number}": 6 + bool(number) for number in range(400)}
    assert history.record_look("question", tests) == [7]
    assert history.record_look("question", tests) == [7]


def designed(max_seeds: int) -> Design:
    return Design.after((0,), (3, max_seeds), num_configurations=2)


def test_seeds_that_are_added_beyond_a_design_are_a_second_chance_and_said_so(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rates.toml"
    run_seeds(store, range(4))
    store.open_parent("rates", file=file, headline="", design=designed(4))
    assert not any("decide" in warning for warning in compare().warnings)
    store.open_parent("rates", file=file, headline="", design=designed(6))
    run_seeds(store, range(4, 6))
    (warning,) = (warning for warning in compare().warnings if "decide" in warning)
    assert warning.startswith("`decide` was changed after looks at 3 seeds")
    assert "up to 10 %" in warning
    store.open_parent("rates", file=file, headline="", design=None)
    assert any(warning.startswith("`decide` was changed") for warning in compare().warnings)


def test_a_design_that_was_changed_before_its_first_look_is_no_second_chance(store: Store, tmp_path: Path) -> None:
    for max_seeds in (4, 6):
        store.open_parent("rates", file=tmp_path / "rates.toml", headline="", design=designed(max_seeds))
    run_seeds(store, range(2))
    assert not any("decide" in warning for warning in compare().warnings)


def test_a_trial_beside_a_grid_that_adds_seeds_leaves_it_its_verdicts(store: Store, tmp_path: Path) -> None:
    store.open_parent("rates", file=tmp_path / "rates.toml", headline="", design=designed(4))
    run_seeds(store, range(3))
    Filler(state_folder()).trial(store, events(spec(0, lr=0.002), 0.5))
    comparison = compare()
    (row,) = (row for row in comparison.rows if row.where == {"optimizer.lr": 0.005})
    assert row.cells["test_accuracy"].contrast is not None
    (warning,) = (warning for warning in comparison.warnings if "more configurations here" in warning)
    assert warning.startswith("seeds of some of these trials were added depending on results")


def test_a_trial_with_a_later_seed_takes_no_grid_its_design(store: Store, tmp_path: Path) -> None:
    store.open_parent("rates", file=tmp_path / "rates.toml", headline="", design=designed(6))
    run_seeds(store, range(3))
    Filler(state_folder()).trial(store, events(spec(5, lr=0.002), 0.5))
    assert not any("depending on results" in warning for warning in compare().warnings)


def test_published_numbers_keep_their_confidence_at_a_later_look(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "rates.toml"
    expected = '[[expected]]\nwhere = { "optimizer.lr" = 0.001 }\nmetric = "test_accuracy"\nvalue = 0.5\nsource = "x"\n'
    file.write_text(DECLARED.partition("[compare]")[0] + expected, encoding="utf-8")
    for seeds in (range(3), range(3, 4)):
        run_seeds(store, seeds)
        report("bench", tmp_path / "report.html", grid=file)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "look 2 at this comparison" in page
    assert "95 % prediction interval" in page


def test_verdicts_about_several_grids_say_whose_seeds_results_decided(store: Store, tmp_path: Path) -> None:
    for name, design in (("rates", designed(4)), ("widths", None)):
        store.open_parent(name, file=tmp_path / f"{name}.toml", headline="", design=design)
    run_seeds(store, range(3))
    (warning,) = (warning for warning in compare().warnings if "--grid FILE" in warning)
    assert warning.startswith("seeds of rates were added depending on results")


def test_looks_at_hundreds_of_rows_are_remembered_too(store: Store) -> None:
    history = LookHistory(store.client, store.experiment_id)
    rows = [f"optimizer.lr={number}" for number in range(400)]
    assert history.record_look("question", dict.fromkeys(rows, 3)) == [3]
    assert history.record_look("question", dict.fromkeys(rows, 3)) == [3]
    assert history.record_look("question", dict.fromkeys(rows, 5)) == [3, 5]
    tags = store.client.get_experiment(store.experiment_id).tags
    assert all(len(value) <= MAX_CHARACTERS for value in tags.values())


def test_a_trial_that_differs_in_one_more_thing_makes_no_look_a_first_one(store: Store) -> None:
    run_seeds(store, range(3))
    assert compare().confidence == 0.95
    run_seeds(store, range(3, 5))
    Filler(state_folder()).trial(store, events(spec(0, batch_size=24), 0.5))
    second = compare()
    assert second.by == ("optimizer.lr", "batch_size")
    assert second.confidence == pytest.approx(0.975)


def test_a_test_of_how_many_seeds_learned_is_a_look(store: Store) -> None:
    """Too few seeds of the second row learn for any other verdict."""
    filler = Filler(state_folder())

    def run(seeds: range) -> None:
        for seed in seeds:
            filler.trial(store, events(spec(seed, lr=0.001), 0.6 + seed / 100))
            filler.trial(store, events(spec(seed, lr=0.005), 0.61 if seed < 2 else 0.34))

    run(range(7))
    first = compare()
    assert [row.learning.p_value is not None for row in first.rows] == [False, True]
    assert first.confidence == 0.95
    run(range(7, 9))
    assert compare().confidence == pytest.approx(0.975)


def test_another_size_of_the_images_makes_no_look_a_first_one(store: Store) -> None:
    filler = Filler(state_folder())

    def run(seeds: Sequence[int], *sizes: int) -> None:
        for size in sizes:
            dataset = replace(journals.SPEC.dataset, params=journals.SPEC.dataset.params | {"image_size": size})
            for seed in seeds:
                accuracy = ACCURACIES[0.001 if size == 32 else 0.005][seed]
                begun, *others = events(spec(seed, dataset=dataset), accuracy)
                assert isinstance(begun, Started)
                filler.trial(store, [replace(begun, data=replace(begun.data, digest=f"{size} pixels")), *others])

    run(range(3), 32, 64)
    assert compare().confidence == 0.95
    run(range(3, 5), 32, 64)
    run(range(5), 96)
    again = compare()
    assert len(again.rows) == 3
    assert again.confidence == pytest.approx(0.975)
