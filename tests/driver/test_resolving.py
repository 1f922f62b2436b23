"""What is refused before a worker is asked, and before anything is downloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.paths import PLUGINS

import benchbench as bb
from benchbench.data.locations import data_folder
from benchbench.errors import PluginError, SpecError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_data_path_for_a_dataset_that_is_not_there_starts_no_download(workdir: Path) -> None:
    with pytest.raises(SpecError, match="there is no dataset 'tinyimag10'") as caught:
        bb.run("alexnet", "tinyimage10", data={"tinyimag10": workdir})
    assert caught.value.hint.startswith("did you mean 'tinyimage10'?")
    with pytest.raises(SpecError, match="no trial uses dataset 'tinyimage200'"):
        bb.run("alexnet", "tinyimage10", data={"tinyimage200": workdir})
    assert not data_folder().exists()


@pytest.mark.parametrize(
    ("question", "message", "hint"),
    [
        ('metrics = ["test_acuracy"]', "no trial has a metric 'test_acuracy'", "did you mean 'test_accuracy'?"),
        ("targets = { val_accuracy = 50 }", "accuracies are fractions from 0 to 1, not 50", "write 0.5 for 50 %"),
        (
            'metrics = ["epochs_to_val_accuracy=0.5"]',
            "no target of [compare] has the metric 'epochs_to_val_accuracy=0.5'",
            "targets = { val_accuracy = 0.5 }",
        ),
        (
            '[[expected]]\nmetric = "test_accuracy"\nvalue = 54.6',
            "[[expected]] 1: accuracies are fractions from 0 to 1, not 54.6",
            "write 0.546 for 54.6 %",
        ),
    ],
)
def test_a_question_without_an_answer_is_refused_before_a_grid_is_trained(
    question: str, message: str, hint: str, workdir: Path
) -> None:
    grid = workdir / "grid.toml"
    grid.write_text(f'model = "alexnet"\ndataset = "digits"\n[compare]\n{question}')
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        bb.grid(grid)
    assert hint in caught.value.hint


@pytest.mark.slow
@pytest.mark.usefixtures("workdir")
def test_a_name_that_a_loose_file_has_as_well_is_no_guess() -> None:
    with pytest.raises(PluginError, match="2 models are called 'alexnet'") as caught:
        bb.run("alexnet", "digits", plugins=[PLUGINS / "clash.py"])
    assert caught.value.hint == "say which one is meant: benchbench:alexnet, clash.py:alexnet"
