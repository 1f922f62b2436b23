"""Several augmentations are one in a spec, and the same one however they are written."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

import benchbench as bb
from benchbench.config import grid_file
from benchbench.config.grid_checks import check_grid
from benchbench.config.spec import Draft, Spec, parse_setting, read_settings
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = Registry.load()


class Darker(bb.Augmentation, name="darker", revision=3):
    """Makes images darker."""

    p: float = bb.param(0.5, "probability")
    least: float | None = bb.param(None, "may be none")


REGISTRY.plugins["augmentation", "darker"] = Darker
BOTH = {"flip.p": 0.5, "darker.p": 0.5, "darker.least": None}


def resolve(augmentation: Any = None, *settings: str, dataset: str = "tinyimage10") -> Spec:
    table = {"model": "alexnet", "dataset": dataset}
    given = {} if augmentation is None else {"augmentation": augmentation}
    return REGISTRY.resolve(
        Draft.from_toml(table | given).with_texts(read_settings(dict(map(parse_setting, settings))))
    )


def test_a_dataset_names_its_augmentation() -> None:
    assert resolve().augmentation.name == "flip"
    assert resolve(dataset="digits").augmentation.name == "none"
    assert resolve("default") == resolve("flip") == resolve()
    assert resolve(None, "augmentation.p=0.25").augmentation.params == {"p": 0.25}
    assert resolve({"name": "default", "p": 0.25}) == resolve(None, "augmentation.p=0.25")


def test_a_list_composes_and_each_has_its_own_parameters() -> None:
    spec = resolve(["flip", "darker"])
    assert (spec.augmentation.name, spec.augmentation.params) == ("flip+darker", BOTH)
    assert spec.augmentation.revision == 1 + 3, "it rises with that of any of them"
    flat = spec.flat()
    assert flat["augmentation"] == "flip+darker"
    assert flat["augmentation.darker.p"] == 0.5


@pytest.mark.parametrize(
    "written",
    [
        "flip+darker",
        ["flip", {"name": "darker", "p": 0.5}],
        ["default", "darker"],
        {"name": "flip+darker", "flip.p": 0.5},
    ],
)
def test_the_same_composition_is_one_trial_however_it_is_written(written: Any) -> None:
    assert resolve(written).id == resolve(["flip", "darker"]).id


def test_the_order_of_a_composition_counts() -> None:
    assert resolve(["darker", "flip"]).id != resolve(["flip", "darker"]).id


def test_a_list_of_one_is_that_one_and_an_empty_list_is_none() -> None:
    assert resolve(["flip"]).id == resolve("flip").id
    assert resolve([]).id == resolve("none").id
    assert resolve(["default", "flip"], dataset="digits").id == resolve("flip", dataset="digits").id


def test_settings_name_the_augmentation_that_they_are_for() -> None:
    spec = resolve(["default", "darker"], "augmentation.default.p=0.1", "augmentation.darker.least=0.3")
    assert spec.augmentation.params == {"flip.p": 0.1, "darker.p": 0.5, "darker.least": 0.3}
    with pytest.raises(SpecError, match=r"augmentation.p: flip\+darker combines several plugins") as caught:
        resolve(["flip", "darker"], "augmentation.p=0.1")
    assert caught.value.hint == "such as augmentation.flip.p"


def test_a_composition_survives_toml() -> None:
    spec = resolve(["flip", {"name": "darker", "p": 0.75}])
    text = spec.to_toml()
    assert REGISTRY.resolve(Draft.from_toml(tomllib.loads(text))) == spec


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["flip", "flip"], "augmentation: 'flip' is in the list twice"),
        ("flip+flip", "augmentation: 'flip' is in the list twice"),
        (["none", "flip"], "augmentation: a list is applied one after the other, and 'none' in it does nothing"),
        ("flip+none", "augmentation: a list is applied one after the other, and 'none' in it does nothing"),
        (["flip", 3], "each of a list must be a name or a table with a name, not 3"),
        (["flip", ""], "each of a list must be a name or a table with a name, not ''"),
        (["flip", {"p": 0.5}], "each of a list must be a name or a table with a name"),
        (["flip", "fliip"], "no augmentation named 'fliip'"),
        (["flip", {"name": "darker", "q": 1}], "augmentation 'darker' has no parameter 'q'"),
        (3, "augmentation must be a name or a table with a name, not 3"),
    ],
)
def test_what_is_no_composition_is_refused(written: Any, message: str) -> None:
    with pytest.raises(bb.BenchError) as caught:
        resolve(written)
    assert message in caught.value.message


def test_other_kinds_do_not_compose() -> None:
    with pytest.raises(SpecError, match="optimizer must be a name or a table"):
        Draft.from_toml({"model": "alexnet", "dataset": "digits", "optimizer": ["sgd", "adam"]})
    with pytest.raises(bb.BenchError, match=r"no optimizer named 'sgd\+adam'"):
        REGISTRY.resolve(Draft.from_toml({"model": "alexnet", "dataset": "digits", "optimizer": "sgd+adam"}))


GRID = """
model = "alexnet"
dataset = "tinyimage10"
seeds = [0, 1]
augmentation = { grid = ["none", "default", ["flip", { name = "darker", p = { grid = [0.1, 0.2] } }]] }

[compare]
by = ["augmentation", "augmentation.darker.p"]
baseline = { augmentation = "none" }
"""


def test_augmentations_and_their_parameters_can_be_axes(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(GRID, encoding="utf-8")
    grid = grid_file.load(path)
    assert grid.axes == ("augmentation", "augmentation.darker.p", "seed")
    specs = [REGISTRY.resolve(draft) for draft in grid.expand()]
    check_grid(grid, specs)
    assert [spec.augmentation.name for spec in specs[:4]] == ["none", "flip", "flip+darker", "flip+darker"]
    assert [spec.augmentation.params.get("darker.p") for spec in specs[:4]] == [None, None, 0.1, 0.2]
    assert len({spec.id for spec in specs}) == grid.num_trials == 8


def test_a_setting_replaces_an_axis_of_a_composition(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(GRID.replace('"none", "default", ', ""), encoding="utf-8")
    grid = grid_file.load(path, {"augmentation.darker.p": "0.7"})
    specs = [REGISTRY.resolve(draft) for draft in grid.expand()]
    assert [spec.augmentation.params["darker.p"] for spec in specs] == [0.7, 0.7]
