"""Options of Python, as functions take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_options import options_of

import benchbench as bb
from benchbench.config.training_options import TrainingOptions
from benchbench.driver.settings import Settings, TrialOptions, texts_of
from benchbench.errors import SpecError


def test_options_may_name_one_thing_or_several() -> None:
    assert texts_of("optimizer.lr") == ("optimizer.lr",)
    assert texts_of(Path("mine.py")) == ("mine.py",)
    assert texts_of(["a.py", Path("b.py")]) == ("a.py", "b.py")
    assert texts_of("") == texts_of(None) == texts_of([]) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compile": "max-autotune"}, 'compile must be true or false, not "max-autotune"'),
        ({"keep_checkpoints": 1}, "keep_checkpoints must be true or false"),
        ({"device": None}, "device must be a valid string"),
        ({"checkpoint_every": "1 min"}, 'checkpoint_every must be a valid number, not "1 min"'),
        ({"checkpoint_every": -1}, "checkpoint_every must be greater than or equal to 0, not -1"),
        ({"checkpoint_every": float("inf")}, "checkpoint_every must be a finite number"),
    ],
)
def test_options_are_checked_as_on_the_command_line(options: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Settings.of(options)


def test_a_number_of_numpy_is_one_of_python() -> None:
    seconds = Settings.of({"checkpoint_every": np.float32(2.5)}).training.checkpoint_every
    assert (seconds, type(seconds)) == (2.5, float)


@pytest.mark.parametrize("command", ["run", "grid"])
def test_every_training_option_can_be_given_in_python_and_on_the_command_line(command: str) -> None:
    assert TrialOptions.__annotations__.keys() >= TrainingOptions.model_fields.keys()
    assert options_of(command).keys() >= {f"--{name.replace('_', '-')}" for name in TrialOptions.__annotations__}


def test_plugin_files_are_kept_with_paths_that_hold_in_any_folder(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    settings = Settings.of({"plugins": ["~/tiny.py", "mine.py"]})
    assert settings.plugin_paths == ("/home/someone/tiny.py", str(workdir / "mine.py"))


@pytest.mark.parametrize("option", ["jobs", "max_failures"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_grid_without_jobs_or_failures_is_refused(workdir: Path, option: str, number: int) -> None:
    (workdir / "grid.toml").write_text('model = "alexnet"\ndataset = "digits"\n', encoding="utf-8")
    asked: Any = {option: number}
    with pytest.raises(SpecError, match=f"{option} must be greater than or equal to 1, not {number}"):
        bb.grid("grid.toml", **asked)
