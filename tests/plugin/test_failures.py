"""What is said of an error in a plugin's own code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from torch import nn

import benchbench as bb
from benchbench.errors import BenchError, DataError, ModelError, PluginError, SpecError
from benchbench.plugin.failures import check_returned, failures_named

if TYPE_CHECKING:
    import torch


class Net(bb.Model, name="net"):
    """Builds a layer of the width that a table has."""

    width: str = bb.param("small", "which")

    def build(self, data: bb.DataSpec) -> nn.Module:
        widths = {"small": 4, "negative": -4}
        return nn.Linear(data.num_inputs, widths[self.width])


class Forgets(Net, name="forgets"):
    def build(self, data: bb.DataSpec) -> nn.Module:  # type: ignore[return]
        nn.Linear(data.num_inputs, 4)


class Still(bb.Optimizer, name="still"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        raise ValueError


class Box(bb.Dataset, name="box"):
    def load(self, root: Path) -> bb.Splits:
        raise SpecError(f"nothing in {root.name}", hint="look elsewhere")


DATA = bb.DataSpec(num_channels=1, image_size=4, num_classes=4)


def message(plugin: bb.Model, *arguments: object) -> BenchError:
    with pytest.raises(BenchError) as caught, failures_named(plugin, method="build"):
        plugin.build(*arguments)
    return caught.value


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_an_error_names_the_plugin_with_its_file_and_line() -> None:
    error = message(Net(width="large"), DATA)
    line = line_of("return nn.Linear(data.num_inputs, widths")
    assert isinstance(error, ModelError)
    assert re.fullmatch(
        rf"model 'net' failed in build\(\): KeyError: 'large' \(\S*test_failures\.py, line {line}\)", error.message
    )
    assert "--debug" in error.hint


def test_an_error_inside_a_library_names_the_line_of_the_plugin_that_called_it() -> None:
    error = message(Net(width="negative"), DATA)
    assert f"test_failures.py, line {line_of('return nn.Linear(data.num_inputs, widths')})" in error.message


def test_an_error_without_a_text_is_its_type() -> None:
    error = message(Still(), nn.Identity())
    assert isinstance(error, PluginError)
    assert "optimizer 'still' failed in build(): ValueError (" in error.message


def test_an_error_that_a_plugin_raises_for_its_user_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught, failures_named(Box(), method="load"):
        Box().load(tmp_path / "here")
    assert (caught.value.message, caught.value.hint) == ("nothing in here", "look elsewhere")


def test_an_error_that_the_caller_knows_better_passes() -> None:
    with pytest.raises(KeyError), failures_named(Net(), method="build", unless=lambda error: "large" in str(error)):
        Net(width="large").build(DATA)


def test_a_forgotten_return_is_named_with_the_line_of_the_function() -> None:
    plugin = Forgets()
    with pytest.raises(ModelError) as caught:
        check_returned(plugin.build(DATA), nn.Module, plugin=plugin, function=plugin.build)
    line = line_of("nn.Module:  # type: ignore[return]")
    assert "model 'forgets': build() returns nothing; is a return statement missing? (" in caught.value.message
    assert f"test_failures.py, line {line})" in caught.value.message


def test_something_else_than_what_is_asked_for_is_named() -> None:
    plugin = Box()
    with pytest.raises(DataError, match=r"dataset 'box': load\(\) must return a benchbench\.\S*Splits, not list"):
        check_returned([], bb.Splits, plugin=plugin, function=plugin.load)


def test_what_is_right_is_returned() -> None:
    plugin, network = Net(), nn.Identity()
    assert check_returned(network, nn.Module, plugin=plugin, function=plugin.build) is network
