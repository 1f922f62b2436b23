"""What is said of grid files that are wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.grid_files import BASIS

from benchbench.config.grid_checks import check_grid
from benchbench.config.grid_file import GridFile, load
from benchbench.config.kinds import KINDS
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.config.spec import Spec

    WriteGrid = Callable[..., Path]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def resolve(registry: Registry, found: GridFile) -> list[Spec]:
    return [registry.resolve(draft) for draft in found.expand()]


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
        "[[expected]] 1: 'epoch' is not an axis of this grid",
        "did you mean 'epochs'?",
    ),
    "no axes": (
        "[[expected]]\nmetric = 'a'\nvalue = 1\nwhere = { optimizer.lr = 1 }",
        "'optimizer.lr' is not an axis of this grid",
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
    "axis inside a parameter": (
        "optimizer = { name = 'timm', options = { beta = { grid = [0.1, 0.2] } } }",
        "an axis inside optimizer.options, at 'beta', is too deep",
        "optimizer.options = { grid = [...] }",
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


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        (
            "batch_size=64",
            "it is no parameter of a plugin: --batch-size of bench run sets it, or batch_size in a grid file",
        ),
        (
            "width=64",
            f"name the kind of plugin that has it: --set KIND.width=64, KIND being {', '.join(KINDS)}",
        ),
        ("model=alexnet", "--set is for parameters of the model: bench run --help says how to choose another"),
        ("model.dropout", "such as --set model.dropout=0.3"),
    ],
)
def test_a_setting_that_does_not_say_whose_it_is_gets_a_hint(
    grid: Callable[..., GridFile], setting: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        grid("", setting)
    assert caught.value.hint == hint


def test_values_of_the_command_line_are_checked(grid: Callable[..., GridFile]) -> None:
    with pytest.raises(SpecError, match="epochs must be greater than or equal to 1"):
        grid("", epochs=0)


def test_the_same_trial_twice_is_refused_with_its_values(grid: Callable[..., GridFile]) -> None:
    found = grid('optimizer = { name = "sgd", lr = { grid = [0.1, 0.2, 0.1] } }\nseeds = [0, 1]')
    with pytest.raises(SpecError) as caught:
        found.expand()
    assert caught.value.message == "grid.toml: trials 1 and 3 of 6 are the same: optimizer.lr=0.1 seed=0"
    assert "remove the repeated value" in caught.value.hint


def test_trials_that_are_the_same_once_resolved_are_refused(grid: Callable[..., GridFile], registry: Registry) -> None:
    found = grid('optimizer = { grid = ["sgd", { name = "sgd", lr = 0.001 }] }')
    with pytest.raises(SpecError) as caught:
        check_grid(found, resolve(registry, found))
    assert "trials 1 and 2 of 2 are the same: optimizer=sgd optimizer.lr=0.001" in caught.value.message


def test_an_axis_value_of_a_wrong_type_is_found_by_its_plugin(
    grid: Callable[..., GridFile], registry: Registry
) -> None:
    found = grid('scheduler = { name = "step", step_size = { grid = [1, true] } }')
    with pytest.raises(SpecError, match=r"scheduler\.step_size must be a valid integer, not true"):
        resolve(registry, found)


def test_compare_names_what_a_trial_has(grid: Callable[..., GridFile], registry: Registry) -> None:
    text = "epochs = { grid = [1, 2] }\n[compare]\n"
    well = grid(text + 'by = ["epochs"]')
    check_grid(well, resolve(registry, well))
    for line in ('by = ["model.dropuot"]', "baseline = { model.dropuot = 0.5 }"):
        found = grid(text + line)
        with pytest.raises(SpecError, match=r"\[compare\] names 'model\.dropuot', which no trial has") as caught:
            check_grid(found, resolve(registry, found))
        assert caught.value.hint == "did you mean 'model.dropout'?"


def test_a_question_that_the_trials_cannot_answer_is_refused(grid: Callable[..., GridFile], registry: Registry) -> None:
    axes = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] }, momentum = { grid = [0.5, 0.9] } }\n'
    row = '[[expected]]\nmetric = "test_accuracy"\nvalue = 1\nwhere = { optimizer.lr = 0.1 }'
    several = "selects several configurations: optimizer.lr=0.1"
    for lines, message, hint in (
        ('[compare]\nby = ["epochs"]', "by 'epochs', which has the same value in all trials", "optimizer.lr"),
        ("[compare]\nbaseline = { optimizer.lr = 0.1 }", f"compare.baseline {several}", "optimizer.momentum"),
        (row, f"[[expected]] 1 {several}", "optimizer.momentum"),
    ):
        read = grid(axes + lines)
        with pytest.raises(SpecError, match=re.escape(message)) as caught:
            check_grid(read, resolve(registry, read))
        assert hint in caught.value.hint


def test_a_parameter_that_one_plugin_alone_has_may_be_asked_for(write: WriteGrid, registry: Registry) -> None:
    optimizers = 'optimizer = { grid = [{ name = "sgd", lr = 0.1 }, { name = "adam", lr = 0.001 }] }\n'
    question = '[compare]\nby = ["optimizer", "optimizer.lr"]'
    read = load(write('model = "alexnet"\ndataset = "digits"\n' + optimizers + question))
    check_grid(read, resolve(registry, read))


def test_a_baseline_is_one_of_each_dataset(write: WriteGrid, registry: Registry) -> None:
    axes = 'model = "alexnet"\ndataset = { grid = ["digits", "synthetic"] }\noptimizer = { grid = ["sgd", "adam"] }\n'
    question = '[compare]\nby = ["optimizer.name"]\nbaseline = { "optimizer.name" = "adam" }'
    read = load(write(axes + question))
    check_grid(read, resolve(registry, read))
    assert read.question.by == ("optimizer",)
    assert read.question.baseline == {"optimizer": "adam"}


def test_a_baseline_or_an_expected_result_is_of_some_trial(grid: Callable[..., GridFile], registry: Registry) -> None:
    text = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] } }\n'
    row = '[[expected]]\nmetric = "test_accuracy"\nvalue = 1\nwhere = { optimizer.lr = 0.3 }'
    for lines, message in (
        (row, r"\[\[expected\]\] 1 selects no trial: optimizer\.lr=0\.3"),
        ("[compare]\nbaseline = { optimizer.lr = 0.3 }", r"compare\.baseline selects no trial: optimizer\.lr=0\.3"),
    ):
        found = grid(text + lines)
        with pytest.raises(SpecError, match=message) as caught:
            check_grid(found, resolve(registry, found))
        assert caught.value.hint == "the trials have optimizer.lr 0.1, 0.2"
        overridden = grid(text + lines, "optimizer.lr=0.5")
        check_grid(overridden, resolve(registry, overridden))


def test_what_the_command_line_sets_is_no_part_of_a_baseline(write: WriteGrid, registry: Registry) -> None:
    axes = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] }, momentum = { grid = [0.5, 0.9] } }\n'
    question = "[compare]\nbaseline = { optimizer.lr = 0.1, optimizer.momentum = 0.9 }\n"
    file = write('model = "alexnet"\ndataset = "digits"\n' + axes + question)
    read = load(file, {"optimizer.momentum": "0.5"}, decide=True)
    assert read.question.baseline == {"optimizer.lr": 0.1}
    check_grid(read, resolve(registry, read))


def test_a_design_with_nothing_to_compare_is_refused_before_it_trains(write: WriteGrid, registry: Registry) -> None:
    axes = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.2] }, momentum = { grid = [0.5, 0.9] } }\n'
    file = write('model = "alexnet"\ndataset = "digits"\n' + axes + '[compare]\nby = ["optimizer.lr"]\n')
    read = load(file, {"optimizer.lr": "0.3"}, decide=True)
    with pytest.raises(SpecError, match=r"by 'optimizer\.lr', which has the same value in all trials"):
        check_grid(read, resolve(registry, read))


def test_a_baseline_that_leaves_out_a_parameter_of_the_dataset_is_refused_before_it_trains(
    write: WriteGrid, registry: Registry
) -> None:
    axes = 'model = "alexnet"\ndataset = { name = "digits", image_size = { grid = [8, 16] } }\n'
    read = load(write(axes + 'optimizer = { grid = ["sgd", "adam"] }\n[compare]\nbaseline = { optimizer = "adam" }'))
    with pytest.raises(SpecError, match=r"compare\.baseline selects several configurations: optimizer=adam") as caught:
        check_grid(read, resolve(registry, read))
    assert "dataset.image_size" in caught.value.hint


@pytest.mark.parametrize(
    "axis",
    [
        'optimizer = { grid = ["benchbench:sgd", "adam"] }\n',
        'augmentation = { grid = ["default", "flip"] }\noptimizer = { grid = ["sgd", "adam"] }\n',
    ],
)
def test_whatever_its_first_configuration_is_called_a_design_has_it_as_its_baseline(
    write: WriteGrid, registry: Registry, axis: str
) -> None:
    read = load(write('model = "alexnet"\ndataset = "digits"\n' + axis), decide=True)
    check_grid(read, resolve(registry, read))
