"""A new plugin from the templates: it works as it stands."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from support.gradients import has_gradient_at_zero

from benchbench.config.kinds import KINDS
from benchbench.driver.new_plugin import NewPlugin, new_file, new_package
from benchbench.errors import BenchError
from benchbench.plugin.registry import Registry
from benchbench.testing.checks_by_kind import plugin_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchbench.config.kinds import Kind


def test_every_kind_has_a_template() -> None:
    from benchbench.driver.new_plugin import TEMPLATE_KINDS

    assert TEMPLATE_KINDS == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_loaded_and_passes_every_check(kind: str, tmp_path: Path) -> None:
    path = new_file(kind, f"my-{kind}", tmp_path)
    registry = Registry.load([path], only={str(path)})
    assert registry.broken == []
    (plugin,) = [cls() for cls in registry.plugins.values()]
    assert (plugin.kind, plugin.name) == (kind, f"my-{kind}")
    assert [outcome for outcome in plugin_outcomes(plugin) if outcome.result != "passed"] == []


@pytest.mark.parametrize(
    ("kind", "name"), [("loss", "focal_loss"), ("scheduler", "lambda-lr"), ("model", "sequential")]
)
def test_a_plugin_may_be_called_as_what_it_is_made_of(kind: Kind, name: str, tmp_path: Path) -> None:
    path = new_file(kind, name, tmp_path)
    (plugin,) = [cls() for cls in Registry.load([path], only={str(path)}).plugins.values()]
    assert [outcome for outcome in plugin_outcomes(plugin) if outcome.result != "passed"] == []


def test_the_loss_of_the_template_has_a_gradient_where_it_is_nothing(tmp_path: Path) -> None:
    path = new_file("loss", "mine", tmp_path)
    (plugin,) = [cls(gamma=0.5) for cls in Registry.load([path], only={str(path)}).plugins.values()]
    assert has_gradient_at_zero(plugin)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_well_formed(kind: str, tmp_path: Path) -> None:
    path = new_package(kind, "my.New_net", tmp_path)
    assert path == tmp_path / "benchbench-my-new-net"
    project = tomllib.loads((path / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["benchbench"] == {"my-new-net": "benchbench_my_new_net.plugin"}
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    for command in (["check", "--select", "E,F,I,UP,B"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "."]
        done = subprocess.run(ruff, cwd=path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_does_not_let_pip_install_another_project_called_benchbench(kind: str, tmp_path: Path) -> None:
    path = new_package(kind, "net", tmp_path)
    project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ["torch"]


@pytest.mark.parametrize(
    ("name", "class_name", "distribution"),
    [
        ("net", "Net", "benchbench-net"),
        ("my-net", "MyNet", "benchbench-my-net"),
        ("3d.net", "Model3dNet", "benchbench-3d-net"),
        ("None", "ModelNone", "benchbench-none"),
    ],
)
def test_names_follow_from_the_name_of_the_plugin(name: str, class_name: str, distribution: str) -> None:
    plugin = NewPlugin("model", name)
    assert (plugin.class_name, plugin.distribution) == (class_name, distribution)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("modle", "net", "no kind of plugin is called 'modle'"),
        ("model", "my net", "'my net' cannot name a plugin"),
        ("model", "alexnet", "a model named 'alexnet' is in benchbench:alexnet already"),
        ("model", "plugins", "a package benchbench_plugins is installed already"),
    ],
)
def test_names_that_cannot_be_used_are_refused(kind: str, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=message):
        new_package(kind, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    for write in (new_file, new_package):
        write("model", "net", tmp_path)
        with pytest.raises(BenchError, match="exists already"):
            write("model", "net", tmp_path)


@pytest.mark.parametrize("make", [new_file, new_package])
def test_a_folder_that_cannot_be_written_is_said_in_one_line(make: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be written: Not a directory"):
        make("model", "my-net", tmp_path / "file" / "plugins")
