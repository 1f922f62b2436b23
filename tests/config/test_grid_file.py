"""Grid files: what they expand to, and what is said of those that are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchbench.config.compare_section import Compare
from benchbench.config.grid_file import MAX_TRIALS, GridFile, load
from benchbench.config.spec import Draft, Spec
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    WriteGrid = Callable[..., Path]

BASIS = 'model = "alexnet"\ndataset = "digits"\n'


@pytest.fixture
def write(workdir: Path) -> WriteGrid:
    """Return a function that writes a file into the working folder."""

    def write(text: str, name: str = "grid.toml") -> Path:
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Path(name)

    return write


@pytest.fixture
def grid(write: WriteGrid) -> Callable[..., GridFile]:
    """Return a function that reads a grid file of a model, a dataset and the lines that it is given."""
    return lambda text="", *settings, **given: load(write(BASIS + text), settings, given=given)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def values(drafts: tuple[Draft, ...], kind: str, key: str) -> list[object]:
    return [draft.plugin(kind).params.get(key) for draft in drafts]


def resolve(registry: Registry, found: GridFile) -> list[Spec]:
    return [registry.resolve(draft) for draft in found.expand()]


def test_a_file_without_axes_is_one_trial_with_the_defaults_of_bench_run(grid: Callable[..., GridFile]) -> None:
    found = grid()
    assert found.expand() == (Draft.from_toml({"model": "alexnet", "dataset": "digits"}),)
    assert (found.name, found.question, found.axes, found.seeds, found.plugins) == ("grid", "", (), (0,), ())
    assert found.compare == Compare(metrics=("test_accuracy",), confidence=0.95)
    assert found.expected == ()


def test_axes_expand_in_the_order_of_the_file_with_seeds_fastest(grid: Callable[..., GridFile]) -> None:
    found = grid("""
        seeds = [1, 0]
        optimizer = { name = "sgd", momentum = { grid = [0.9, 0.5] }, lr = { grid = [0.1, 0.01, 0.001] } }
        batch_size = { grid = [12, 32] }
    """)
    drafts = found.expand()
    assert found.num_trials == len(drafts) == 24
    assert found.axes == ("optimizer.momentum", "optimizer.lr", "batch_size", "seed")
    assert found.seeds == (1, 0)
    assert values(drafts, "optimizer", "momentum") == [0.9] * 12 + [0.5] * 12
    assert values(drafts, "optimizer", "lr")[:12] == [0.1] * 4 + [0.01] * 4 + [0.001] * 4
    assert [draft.batch_size for draft in drafts[:4]] == [12, 12, 32, 32]
    assert [draft.seed for draft in drafts] == [1, 0] * 12


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
    assert (found.name, found.question) == ("table1", "Which learning rate?")
    assert found.compare.model_dump() == {
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
    assert found.compare.baseline == {"optimizer.lr": 0.1, "model": "alexnet"}
    assert found.expected[0].where == {"optimizer.lr": 0.1}


def test_what_a_file_has_counts_before_what_it_includes(write: WriteGrid) -> None:
    write('model = "resnet"\nepochs = 3\nbatch_size = 8\nquestion = "Of the base?"\nseeds = [0, 1]', "base/a.toml")
    write('batch_size = 16\nscheduler = "cosine"', "base/b.toml")
    path = write('include = ["base/a.toml", "base/b.toml"]\ndataset = "digits"\nepochs = 5\nseed = 7')
    found = load(path)
    (draft,) = found.expand()
    assert (draft.epochs, draft.batch_size, draft.seed) == (5, 16, 7)
    assert (draft.model.name, draft.scheduler.name) == ("resnet", "cosine")
    assert (found.name, found.question) == ("grid", "Of the base?")


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


REFUSALS: dict[str, tuple[str, str, str]] = {
    "unknown key": ("optimiser = 'sgd'", "unknown key 'optimiser'", "did you mean 'optimizer'?"),
    "no key like it": ("zzz = 1", "unknown key 'zzz'", "question"),
    "unknown key in compare": ("[compare]\nbaselin = {}", "[compare]: unknown key 'baselin'", "'baseline'"),
    "unknown key in expected": (
        "[[expected]]\nmetric = 'a'\nvalue = 1\nvalues = 2",
        "[[expected]] 1: unknown key 'values'",
        "did you mean 'value'?",
    ),
    "expected without a value": ("[[expected]]\nmetric = 'a'", "[[expected]] 1: value is missing", ""),
    "expected that is no row": ("expected = 3", "expected must be rows", ""),
    "expected of texts": ("expected = ['a']", "[[expected]] 1: must be a table, not 'a'", ""),
    "compare that is no table": ("compare = 'lr'", "[compare]: must be a table, not 'lr'", ""),
    "no axis of that name": (
        "epochs = { grid = [1, 2] }\n[[expected]]\nmetric = 'a'\nvalue = 1\nwhere = { epoch = 1 }",
        "[[expected]] 1: 'epoch' is no axis of this grid",
        "did you mean 'epochs'?",
    ),
    "no axes": (
        "[[expected]]\nmetric = 'a'\nvalue = 1\nwhere = { optimizer.lr = 1 }",
        "'optimizer.lr' is no axis of this grid",
        "axes: none",
    ),
    "compare by nothing": ("[compare]\nby = ['optimiser.lr']", "no trial has 'optimiser.lr'", "'optimizer'"),
    "baseline of nothing": ("[compare]\nbaseline = { batchsize = 1 }", "no trial has 'batchsize'", "'batch_size'"),
    "confidence": ("[compare]\nconfidence = 95", "[compare]: confidence must be less than 1, not 95", ""),
    "no values": ("epochs = { grid = [] }", "the axis epochs has no values", "leave it out"),
    "no values of a parameter": (
        "optimizer = { name = 'sgd', lr = { grid = [] } }",
        "the axis optimizer.lr has no values",
        "",
    ),
    "no values within a plugin on an axis": (
        "optimizer = { grid = [{ name = 'sgd', lr = { grid = [] } }] }",
        "the axis optimizer.lr has no values",
        "",
    ),
    "axis that is no list": (
        "optimizer = { name = 'sgd', lr = { grid = 0.1 } }",
        "the axis optimizer.lr must be a list of values, not 0.1",
        "optimizer.lr = { grid = [1, 2] }",
    ),
    "no seeds": ("seeds = []", "the axis seed has no values", ""),
    "seeds that are no list": ("seeds = 3", "seeds must be a list, not 3", "seeds = [0, 1, 2]"),
    "seed and seeds": ("seeds = [1]\nseed = 1", "seed and seeds are both given", ""),
    "seed of a wrong type": ("seeds = [0, true]", "seed must be a valid integer, not true", ""),
    "negative seed": ("seeds = [0, -1]", "seed must be greater than or equal to 0, not -1", ""),
    "epochs of a wrong type": ("epochs = { grid = [1, true] }", "epochs must be a valid integer", ""),
    "no such precision": (
        "precision = { grid = ['fp8'] }",
        "precision must be 'fp32'",
        "",
    ),
    "plugins on an axis": ("plugins = { grid = [['a.py']] }", "plugins must be a list of paths, not {", "my_plugin.py"),
    "plugins of numbers": ("plugins = [1]", "plugins must be a list of paths, not [1]", "my_plugin.py"),
    "plugins of one text": (
        "plugins = 'tiny.py'",
        "plugins must be a list of paths, not 'tiny.py'",
        'plugins = ["tiny.py"]',
    ),
    "plugins of a number": ("plugins = 3", "plugins must be a list of paths, not 3", "my_plugin.py"),
    "seed of several": ("seed = [0, 1]", "seed must be one whole number, not [0, 1]", "did you mean seeds = [0, 1]?"),
    "infinite target": (
        "[compare]\ntargets = { val_accuracy = inf }",
        "targets.val_accuracy must be a finite number",
        "",
    ),
    "nameless plugin": ("optimizer = { lr = 0.1 }", "optimizer must be a name or a table with a name", "NAME"),
    "nameless plugin on an axis": ("optimizer = { grid = ['sgd', 1] }", "optimizer must be a name", "not 1"),
    "a date": ("optimizer = { name = 'sgd', lr = 2020-01-01 }", "optimizer.lr", "2020-01-01"),
    "name of a wrong type": ("name = 3", "name must be a valid string, not 3", ""),
    "empty name": ("name = ''", "name must have at least 1 character", ""),
    "included file is not there": ("include = ['bsae.toml']", "no such file to include: 'bsae.toml'", "relative"),
    "include of a text": ("include = 'base.toml'", 'include must be a list, not "base.toml"', ""),
    "includes itself": ("include = ['grid.toml']", "grid.toml includes itself: grid.toml -> grid.toml", ""),
}


@pytest.mark.parametrize(("text", "message", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_file_that_is_wrong_gets_one_message_with_its_name(
    grid: Callable[..., GridFile], text: str, message: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        grid(text)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith("grid.toml")
    assert message in caught.value.message
    assert hint in caught.value.hint + caught.value.message


@pytest.mark.parametrize(("given", "kind"), [('dataset = "digits"', "model"), ('model = "alexnet"', "dataset")])
def test_a_file_without_model_or_dataset_is_refused(write: WriteGrid, given: str, kind: str) -> None:
    with pytest.raises(SpecError, match=rf"grid\.toml: no {kind} given") as caught:
        load(write(given))
    assert f"bench list {kind}s" in caught.value.hint


def test_a_syntax_error_is_given_with_line_and_column(grid: Callable[..., GridFile]) -> None:
    with pytest.raises(SpecError, match=r"grid\.toml: Invalid value \(at line 3, column 10\)"):
        grid("epochs = ]")


@pytest.mark.parametrize("name", ["grid.toml", "base.toml"])
def test_a_byte_order_mark_is_no_part_of_a_file(write: WriteGrid, workdir: Path, name: str) -> None:
    write(BASIS, "base.toml")
    path = write('include = ["base.toml"]\nepochs = 2')
    content = (workdir / name).read_bytes()
    (workdir / name).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    (draft,) = load(path).expand()
    assert draft.epochs == 2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_by_that_name(workdir: Path, encoding: str) -> None:
    (workdir / "grid.toml").write_bytes(f"\ufeff{BASIS}".encode(encoding))
    with pytest.raises(SpecError, match=r"cannot read grid\.toml: it is UTF-16, not UTF-8") as caught:
        load(Path("grid.toml"))
    assert "save it as" in caught.value.hint


def test_a_file_that_is_not_there_or_no_text_is_refused(workdir: Path) -> None:
    with pytest.raises(SpecError, match=r"no such file: nowhere\.toml"):
        load(Path("nowhere.toml"))
    (workdir / "image.toml").write_bytes(b"\xff\xd8\xff")
    for path in ("image.toml", "."):
        with pytest.raises(SpecError, match="cannot read"):
            load(Path(path))


def test_what_is_wrong_in_an_included_file_is_said_of_that_file(write: WriteGrid) -> None:
    path = write('include = ["base.toml"]\n' + BASIS)
    for text, message in {
        "epoch = 3": "base.toml: unknown key 'epoch'",
        "epochs = 0": "base.toml: epochs must be greater",
        "[compare]\nby = 3": "base.toml: [compare]: by",
        "epochs =": "base.toml: Invalid value (at",
    }.items():
        write(text, "base.toml")
        with pytest.raises(SpecError) as caught:
            load(path)
        assert caught.value.message.startswith(message)


def test_files_that_include_each_other_are_refused(write: WriteGrid) -> None:
    write('include = ["sub/b.toml"]', "a.toml")
    write('include = ["../a.toml"]', "sub/b.toml")
    with pytest.raises(SpecError, match=r"includes itself: a\.toml -> b\.toml -> a\.toml"):
        load(Path("a.toml"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [("model.dropout", "not KIND.PARAM=VALUE"), ("modle.dropout=1", "there is no kind of plugin 'modle'")],
)
def test_a_setting_of_another_form_is_refused(grid: Callable[..., GridFile], setting: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        grid("", setting)


def test_values_of_the_command_line_are_checked(grid: Callable[..., GridFile]) -> None:
    with pytest.raises(SpecError, match="epochs must be greater than or equal to 1"):
        grid("", epochs=0)


def test_the_same_trial_twice_is_refused_with_its_values(grid: Callable[..., GridFile]) -> None:
    found = grid('optimizer = { name = "sgd", lr = { grid = [0.1, 0.2, 0.1] } }\nseeds = [0, 1]')
    with pytest.raises(SpecError) as caught:
        found.expand()
    assert caught.value.message == "grid.toml: trials 1 and 5 of 6 are the same: optimizer.lr=0.1 seed=0"
    assert "remove the repeated value" in caught.value.hint


def test_trials_that_are_the_same_once_resolved_are_refused(grid: Callable[..., GridFile], registry: Registry) -> None:
    found = grid('optimizer = { grid = ["sgd", { name = "sgd", lr = 0.001 }] }')
    with pytest.raises(SpecError) as caught:
        found.check(resolve(registry, found))
    assert "trials 1 and 2 of 2 are the same: optimizer=sgd optimizer.lr=0.001" in caught.value.message


def test_an_axis_value_of_a_wrong_type_is_found_by_its_plugin(
    grid: Callable[..., GridFile], registry: Registry
) -> None:
    found = grid('scheduler = { name = "step", step_size = { grid = [1, true] } }')
    with pytest.raises(SpecError, match=r"scheduler\.step_size must be a valid integer, not true"):
        resolve(registry, found)


def test_compare_names_what_a_trial_has(grid: Callable[..., GridFile], registry: Registry) -> None:
    text = "epochs = { grid = [1, 2] }\n[compare]\n"
    well = grid(text + 'by = ["model.dropout", "epochs"]')
    well.check(resolve(registry, well))
    for line in ('by = ["model.dropuot"]', "baseline = { model.dropuot = 0.5 }"):
        found = grid(text + line)
        with pytest.raises(SpecError, match=r"\[compare\] names 'model\.dropuot', which no trial has") as caught:
            found.check(resolve(registry, found))
        assert caught.value.hint == "did you mean 'model.dropout'?"


def test_a_baseline_or_an_expected_result_is_of_some_trial(grid: Callable[..., GridFile], registry: Registry) -> None:
    text = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] } }\n'
    row = '[[expected]]\nmetric = "test_accuracy"\nvalue = 1\nwhere = { optimizer.lr = 0.3 }'
    for lines, message in (
        (row, r"\[\[expected\]\] 1 selects no trial: optimizer\.lr=0\.3"),
        ("[compare]\nbaseline = { optimizer.lr = 0.3 }", r"compare\.baseline selects no trial: optimizer\.lr=0\.3"),
    ):
        found = grid(text + lines)
        with pytest.raises(SpecError, match=message):
            found.check(resolve(registry, found))
        overridden = grid(text + lines, "optimizer.lr=0.5")
        overridden.check(resolve(registry, overridden))


def test_reading_grid_files_imports_neither_torch_nor_mlflow(write: WriteGrid) -> None:
    path = write(BASIS)
    code = f"""
import sys; from pathlib import Path; from benchbench.config.grid_file import load
load(Path({str(path)!r})).expand()
assert not {{"torch", "mlflow", "pandas"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
