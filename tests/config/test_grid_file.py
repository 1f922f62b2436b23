"""Grid files: what they expand to."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.grid_files import BASIS

from benchbench.config.compare_section import Question
from benchbench.config.grid_file import MAX_TRIALS, GridFile, load
from benchbench.config.spec import Draft
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    WriteGrid = Callable[..., Path]


def values(drafts: tuple[Draft, ...], kind: str, key: str) -> list[object]:
    return [draft.plugin(kind).params.get(key) for draft in drafts]


def test_a_file_without_axes_is_one_trial_with_the_defaults_of_bench_run(grid: Callable[..., GridFile]) -> None:
    found = grid()
    assert found.expand() == (Draft.from_toml({"model": "alexnet", "dataset": "digits"}),)
    assert (found.name, found.headline, found.axes, found.seeds, found.plugins) == ("grid", "", (), (0,), ())
    assert found.question == Question(metrics=("test_accuracy",), confidence=0.95)
    assert found.expected == ()


def test_axes_expand_in_the_order_of_the_file_one_seed_after_another(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        seeds = [1, 0]
        optimizer = { name = "sgd", momentum = { grid = [0.9, 0.5] }, lr = { grid = [0.1, 0.01, 0.001] } }
        batch_size = { grid = [12, 32] }
    """)
    drafts = found.expand()
    assert found.num_trials == len(drafts) == 24
    assert found.axes == ("optimizer.momentum", "optimizer.lr", "batch_size", "seed")
    assert found.seeds == (1, 0)
    assert [draft.seed for draft in drafts] == [1] * 12 + [0] * 12
    assert values(drafts, "optimizer", "momentum") == ([0.9] * 6 + [0.5] * 6) * 2
    assert values(drafts, "optimizer", "lr") == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001] * 4
    assert [draft.batch_size for draft in drafts] == [12, 32] * 12


def test_a_plugin_on_an_axis_may_have_axes_of_its_own(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        optimizer = { grid = [
            "sgd",
            { name = "adam", lr = { grid = [0.001, 0.0001] }, weight_decay = { grid = [0.0, 0.1] } },
        ] }
        seed = 3
    """)
    drafts = found.expand()
    assert [draft.optimizer.name for draft in drafts] == ["sgd"] + ["adam"] * 4
    assert values(drafts, "optimizer", "lr") == [None, 0.001, 0.001, 0.0001, 0.0001]
    assert values(drafts, "optimizer", "weight_decay") == [None, 0.0, 0.1, 0.0, 0.1]
    assert {draft.seed for draft in drafts} == {3}
    assert found.axes == ("optimizer", "optimizer.lr", "optimizer.weight_decay")
    assert found.seeds == (3,)


def test_models_datasets_epochs_and_precisions_can_be_axes(write: WriteGrid) -> None:
    path = write("""
        model = { grid = ["alexnet", { name = "resnet", layers = { grid = [18, 34] } }] }
        dataset = { grid = ["digits", "tinyimage10"] }
        epochs = { grid = [1, 2] }
        precision = { grid = ["fp32", "bf16"] }
    """)
    drafts = load(path).expand()
    assert len(drafts) == 3 * 2 * 2 * 2
    assert {(draft.epochs, draft.precision) for draft in drafts} == {
        (epochs, precision) for epochs in (1, 2) for precision in ("fp32", "bf16")
    }
    assert [draft.model.params for draft in drafts[::8]] == [{}, {"layers": 18}, {"layers": 34}]


def test_an_axis_within_an_axis_is_one_list(grid: Callable[..., GridFile]) -> None:
    drafts = grid("epochs = { grid = [1, { grid = [2, 3] }] }").expand()
    assert [draft.epochs for draft in drafts] == [1, 2, 3]


def test_a_bare_list_is_a_value(grid: Callable[..., GridFile]) -> None:
    (draft,) = grid('optimizer = { name = "adam", betas = [0.9, 0.99] }').expand()
    assert draft.optimizer.params == {"betas": [0.9, 0.99]}
    pairs = grid('optimizer = { name = "adam", betas = { grid = [[0.9, 0.99], [0.5, 0.9]] } }').expand()
    assert values(pairs, "optimizer", "betas") == [[0.9, 0.99], [0.5, 0.9]]


def test_the_example_of_the_design_is_read(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        name = "table1"
        question = "Which learning rate?"
        optimizer = { name = "sgd", lr = { grid = [0.0001, 0.001] } }

        [compare]
        by = ["optimizer.lr", "optimizer.momentum"]
        metrics = ["test_accuracy", "train_seconds"]
        baseline = { "optimizer.lr" = 0.001, "optimizer.momentum" = 0.9 }
        targets = { val_accuracy = 0.5 }
        confidence = 0.9

        [[expected]]
        where = { "optimizer.lr" = 0.001 }
        metric = "test_accuracy"
        value = 0.546
        source = "Table 1, row 1"
    """)
    assert (found.name, found.headline) == ("table1", "Which learning rate?")
    assert found.question.model_dump() == {
        "by": ("optimizer.lr", "optimizer.momentum"),
        "metrics": ("test_accuracy", "train_seconds"),
        "baseline": {"optimizer.lr": 0.001, "optimizer.momentum": 0.9},
        "targets": {"val_accuracy": 0.5},
        "confidence": 0.9,
        "margin": None,
        "seeds": None,
        "decide": None,
    }
    (row,) = found.expected
    assert row.model_dump() == {
        "where": {"optimizer.lr": 0.001},
        "metric": "test_accuracy",
        "value": 0.546,
        "source": "Table 1, row 1",
    }


def test_keys_of_where_and_baseline_need_no_quotes(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] } }
        compare = { baseline = { optimizer.lr = 0.1, model = "alexnet" } }
        expected = [{ where = { optimizer.lr = 0.1 }, metric = "test_accuracy", value = 1 }]
    """)
    assert found.question.baseline == {"optimizer.lr": 0.1, "model": "alexnet"}
    assert found.expected[0].where == {"optimizer.lr": 0.1}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"model.options" = {}', {"model.options": {}}),
        ("model.options = {}", {"model.options": {}}),
        ('"model.options" = { drop_path_rate = 0.1 }', {"model.options": {"drop_path_rate": 0.1}}),
        ("model.options = { drop_path_rate = 0.1 }", {"model.options": {"drop_path_rate": 0.1}}),
        ("augmentation.flip.p = 0.1", {"augmentation.flip.p": 0.1}),
        ('augmentation = { name = "flip", p = 0.1 }', {"augmentation": "flip", "augmentation.p": 0.1}),
    ],
)
def test_a_table_in_a_baseline_is_a_value_where_a_parameter_is_named(
    grid: Callable[..., GridFile], written: str, expected: object
) -> None:
    assert grid(f"compare = {{ baseline = {{ {written} }} }}").question.baseline == expected


def test_a_published_result_may_be_of_trials_without_options(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        loss = { name = "mine", options = { grid = [{}, { smoothing = 0.1 }] } }
        expected = [{ where = { "loss.options" = {} }, metric = "test_accuracy", value = 1 }]
    """)
    assert found.expected[0].where == {"loss.options": {}}


def test_what_a_file_has_counts_before_what_it_includes(write: WriteGrid) -> None:
    write('model = "resnet"\nepochs = 3\nbatch_size = 8\nquestion = "Of the base?"\nseeds = [0, 1]', "base/a.toml")
    write('batch_size = 16\nscheduler = "cosine"', "base/b.toml")
    path = write('include = ["base/a.toml", "base/b.toml"]\ndataset = "digits"\nepochs = 5\nseed = 7')
    found = load(path)
    (draft,) = found.expand()
    assert (draft.epochs, draft.batch_size, draft.seed) == (5, 16, 7)
    assert (draft.model.name, draft.scheduler.name) == ("resnet", "cosine")
    assert (found.name, found.headline) == ("grid", "Of the base?")


def test_parameters_of_an_included_plugin_stay_where_the_plugin_is_the_same(write: WriteGrid) -> None:
    base = 'optimizer = { name = "sgd", lr = 0.1, momentum = 0.5 }\nscheduler = { name = "step", gamma = 0.5 }'
    write(f'model = {{ name = "alexnet", dropout = 0.1 }}\n{base}', "base.toml")
    path = write("""
        include = ["base.toml"]
        dataset = "digits"
        model = "alexnet"
        optimizer = { name = "sgd", lr = { grid = [0.2, 0.3] } }
        scheduler = "cosine"
    """)
    drafts = load(path).expand()
    assert [draft.optimizer.params for draft in drafts] == [{"lr": lr, "momentum": 0.5} for lr in (0.2, 0.3)]
    assert drafts[0].model.params == {"dropout": 0.1}
    assert drafts[0].scheduler.params == {}


def test_one_file_may_be_included_by_two(write: WriteGrid) -> None:
    write(BASIS, "base.toml")
    write('include = ["base.toml"]\nepochs = 2', "a.toml")
    write('include = ["base.toml"]\nbatch_size = 2', "b.toml")
    (draft,) = load(write('include = ["a.toml", "b.toml"]')).expand()
    assert (draft.epochs, draft.batch_size) == (2, 2)


def test_paths_of_plugins_are_relative_to_the_file_that_names_them(write: WriteGrid) -> None:
    write('plugins = ["mine.py"]\n' + BASIS, "base/base.toml")
    assert load(write('include = ["base/base.toml"]')).plugins == ("base/mine.py",)
    assert load(write('include = ["base/base.toml"]\nplugins = ["own.py"]')).plugins == ("own.py",)


def test_settings_hold_for_every_trial_and_replace_an_axis(grid: Callable[..., GridFile]) -> None:
    text = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] }, momentum = { grid = [0.5, 0.9] } }'
    found = grid(text, "optimizer.lr=0.3", "model.dropout = 0.1")
    drafts = found.expand()
    assert found.axes == ("optimizer.momentum",)
    assert len(drafts) == 2
    for draft in drafts:
        assert "lr" not in draft.optimizer.params
        assert draft.optimizer.texts == {"lr": "0.3"}
        assert draft.model.texts == {"dropout": "0.1"}


def test_settings_replace_an_axis_of_a_plugin_that_is_on_an_axis(grid: Callable[..., GridFile]) -> None:
    text = 'optimizer = { grid = ["sgd", { name = "adam", lr = { grid = [0.1, 0.2] } }] }'
    assert [draft.optimizer.name for draft in grid(text, "optimizer.lr=0.3").expand()] == ["sgd", "adam"]


def test_values_of_the_command_line_replace_those_of_the_file(grid: Callable[..., GridFile]) -> None:
    (draft,) = grid("epochs = { grid = [1, 2] }", epochs=7, precision="bf16").expand()
    assert (draft.epochs, draft.precision) == (7, "bf16")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("epochs = [1, 2]", "to try several values in a grid file: epochs = { grid = [1, 2] }"),
        ('select = ["last", "x"]', 'to try several values in a grid file: select = { grid = ["last", "x"] }'),
        ("epochs = { gird = [1, 2] }", "to try several values in a grid file: epochs = { grid = [...] }"),
        ('loss = ["bce", "cross_entropy"]', 'to try each of them: loss = { grid = ["bce", "cross_entropy"] }'),
        ('loss = [{ name = "bce" }, "x"]', 'to try each of them: loss = { grid = [{name = "bce"}, "x"] }'),
        ("epochs = [1979-05-27]", 'to try several values in a grid file: epochs = { grid = ["1979-05-27"] }'),
        ("loss = [1979-05-27]", 'to try each of them: loss = { grid = ["1979-05-27"] }'),
        ("loss = { on = 1979-05-27 }", 'loss = "NAME"  or  loss = { name = "NAME", PARAMETER = VALUE }'),
        ("epochs = 0", ""),
        ('data = "photos"', "--data PATH says where the images are, or BENCH_DATA"),
        ("loss = bce", 'texts need quotes: "bce"'),
        ("epochs = None", 'texts need quotes: "none"'),
        ("epochs = True", "write true"),
        ("epochs = .5", ""),
    ],
)
def test_what_newcomers_write_into_a_grid_file_is_told_the_way_out(
    grid: Callable[..., GridFile], text: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        grid(text).expand()
    assert caught.value.hint == hint


def test_10000_trials_are_allowed_and_more_only_on_request(grid: Callable[..., GridFile]) -> None:
    most = grid(f"seeds = {list(range(MAX_TRIALS))}")
    assert len(most.expand()) == MAX_TRIALS
    more = grid(f"seeds = {list(range(MAX_TRIALS + 1))}")
    with pytest.raises(SpecError, match=r"grid\.toml: 10,001 trials, more than 10,000") as caught:
        more.expand()
    assert "--yes" in caught.value.hint
    assert len(more.expand(allow_many=True)) == MAX_TRIALS + 1


def test_the_trials_of_a_grid_beyond_all_bounds_are_counted_and_not_made(grid: Callable[..., GridFile]) -> None:
    axis = {"grid": list(range(1, 1001))}
    line = str(axis).replace("'grid':", "grid =")
    found = grid(f"epochs = {line}\nbatch_size = {line}\nseeds = {axis['grid']}")
    with pytest.raises(SpecError, match="1,000,000,000 trials"):
        found.expand()


def test_reading_grid_files_imports_neither_torch_nor_mlflow(write: WriteGrid) -> None:
    path = write(BASIS)
    code = f"""
import sys; from pathlib import Path; from benchbench.config.grid_file import load
load(Path({str(path)!r})).expand()
assert not {{"torch", "mlflow", "pandas"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
