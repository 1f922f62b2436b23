"""Which trials a grid file means, and in which order."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals, made_records
from support.grid_files import RATES
from support.stores import Filler

from benchbench.config import grid_file
from benchbench.config.spec import PluginSpec
from benchbench.config.values import is_match
from benchbench.driver.study import Study, find_records
from benchbench.plugin.registry import Registry
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

NAMES = ("flip", "crop_flip")
"""The first is the default of tinyimage10."""


def where_of(folder: Path, *, model: str = "alexnet", dataset: str, line: str = "") -> dict[str, JsonValue]:
    """Return the values of the only trial of a grid file."""
    text = f'name = "g"\nmodel = "{model}"\ndataset = "{dataset}"\n{line}\nepochs = 3\nbatch_size = 12\nseeds = [7]\n'
    (folder / "grid.toml").write_text(text, encoding="utf-8")
    (trial,) = Study.read(folder / "grid.toml").trials
    return trial.file_values


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


def test_trials_of_the_plugins_as_they_are_now_come_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('name = "g"\nmodel = "alexnet"\ndataset = "digits"\n', encoding="utf-8")
    grid = grid_file.load(tmp_path / "grid.toml")
    spec = Registry.load().resolve(grid.expand()[0])
    as_now = made_records.made(spec)
    older = made_records.made(replace(spec, model=replace(spec.model, revision=0)))
    other = made_records.made(replace(spec, model=replace(spec.model, params=spec.model.params | {"dropout": 0.1})))
    (trial,) = Study.read(tmp_path / "grid.toml").trials
    assert trial.among([older, as_now, other]) == [as_now]
    assert trial.among([older]) == [older]


@pytest.mark.parametrize("lost", ["a seed", "all seeds"])
def test_the_first_configuration_of_a_grid_is_its_baseline_even_if_its_first_seed_was_deleted(
    tmp_path: Path, empty_database: Path, workdir: Path, lost: str
) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    filler, store = Filler(tmp_path / "journals"), Store.open()
    (tmp_path / "grid.toml").write_text(RATES, encoding="utf-8")
    for lr, seeds in ((0.005, (0, 1, 2)), (0.001, (1, 2) if lost == "a seed" else ())):
        for seed in seeds:
            filler.trial(store, made_records.events(made_records.spec(seed, lr=lr), 0.5 + seed / 100 + lr))
    notes: list[str] = []
    records = find_records(Study.of_experiment("bench", tmp_path / "grid.toml"), notes.append)
    baseline = records[0].spec.optimizer.params["lr"]
    is_noted = any("another one is the baseline" in note for note in notes)
    assert (baseline, is_noted) == ((0.001, False) if lost == "a seed" else (0.005, True))
