"""What is refused before a worker is asked, and before anything is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import benchbench as bb
from benchbench.data.locations import data_folder
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_data_path_for_a_dataset_that_is_not_there_starts_no_download(workdir: Path) -> None:
    with pytest.raises(SpecError, match="there is no dataset 'tinyimag10'") as caught:
        bb.run("alexnet", "tinyimage10", data={"tinyimag10": workdir})
    assert caught.value.hint.startswith("did you mean 'tinyimage10'?")
    with pytest.raises(SpecError, match="no trial uses dataset 'tinyimage200'"):
        bb.run("alexnet", "tinyimage10", data={"tinyimage200": workdir})
    assert not data_folder().exists()


def test_a_metric_that_no_trial_has_is_refused_before_a_grid_is_trained(workdir: Path) -> None:
    grid = workdir / "grid.toml"
    grid.write_text('model = "alexnet"\ndataset = "digits"\n[compare]\nmetrics = ["test_acuracy"]')
    with pytest.raises(SpecError, match="no trial has a metric 'test_acuracy'") as caught:
        bb.grid(grid)
    assert caught.value.hint == "did you mean 'test_accuracy'?"
