"""What a grid file asks, and of which trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support import journals

from benchbench.config.differences import is_match
from benchbench.config.spec import PluginSpec
from benchbench.driver.question import Study

if TYPE_CHECKING:
    from pathlib import Path


def test_a_grid_that_leaves_the_augmentation_to_the_dataset_means_trials_of_any(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    for line, names in (("", ("flip", "crop_flip")), ('augmentation = "flip"', ("flip",))):
        text = f'name = "g"\nmodel = "alexnet"\ndataset = "squares"\n{line}\nepochs = 3\nbatch_size = 12\nseeds = [7]\n'
        file.write_text(text, encoding="utf-8")
        (where,) = Study.read(file).wheres
        specs = [replace(journals.SPEC, augmentation=PluginSpec(name, 1, {})) for name in ("flip", "crop_flip")]
        assert tuple(spec.augmentation.name for spec in specs if is_match(spec, where)) == names
