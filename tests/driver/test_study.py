"""What a grid file asks, and of which trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.config.differences import is_match
from benchbench.config.spec import PluginSpec
from benchbench.driver.study import Study

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

NAMES = ("flip", "crop_flip")
"""The first is the default of tinyimage10."""


def where_of(folder: Path, *, model: str = "alexnet", dataset: str, line: str = "") -> dict[str, JsonValue]:
    """Return the values of the only trial of a grid file."""
    text = f'name = "g"\nmodel = "{model}"\ndataset = "{dataset}"\n{line}\nepochs = 3\nbatch_size = 12\nseeds = [7]\n'
    (folder / "grid.toml").write_text(text, encoding="utf-8")
    (where,) = Study.read(folder / "grid.toml").wheres
    return where


@pytest.mark.parametrize(
    ("dataset", "line", "meant"),
    [
        ("tinyimage10", "", ("flip",)),
        ("tinyimage10", 'augmentation = "crop_flip"', ("crop_flip",)),
        ("gone", "", NAMES),
        ("gone", 'augmentation = "flip"', ("flip",)),
    ],
)
def test_a_grid_means_trials_with_the_augmentation_that_it_or_its_dataset_names(
    tmp_path: Path, dataset: str, line: str, meant: tuple[str, ...]
) -> None:
    where = where_of(tmp_path, dataset=dataset, line=line)
    spec = replace(journals.SPEC, dataset=replace(journals.SPEC.dataset, name=dataset))
    specs = [replace(spec, augmentation=PluginSpec(name, 1, {})) for name in NAMES]
    assert tuple(spec.augmentation.name for spec in specs if is_match(spec, where)) == meant


def test_a_plugin_that_is_named_with_its_package_is_the_one_of_the_spec(tmp_path: Path) -> None:
    where = where_of(tmp_path, model="benchbench:alexnet", dataset="tinyimage10")
    assert where["model"] == "alexnet"
