"""A stranger's package, from its first file to the day when it is removed again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.commands import Bench

from benchbench.driver.new_plugin import new_package

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.virtual_environments import VirtualEnvironment

pytestmark = pytest.mark.slow

GRID = """
question = "Is my-net as good as a ResNet?"
dataset = { name = "synthetic", num_train = 64, num_val = 32, num_test = 32, height = 64, width = 64, image_size = 64 }
model = { grid = ["cifar_resnet", "my-net"] }
optimizer = { name = "adam", lr = 0.001 }
epochs = 1
batch_size = 32
seeds = [0, 1]
"""


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_foreign_package_is_installed_compared_and_removed(
    virtual_environment: VirtualEnvironment, tmp_path: Path, cache: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, cache, program=virtual_environment.bench)
    succeed(bench("plugin", "new", "model", "my-net"))
    virtual_environment.pip("install", tmp_path / "benchbench-my-net")

    bench.write("grid.toml", GRID)
    succeed(bench("grid", "grid.toml", "--jobs", "2", "--artifacts", "none"))
    origins = {run.data.tags["benchbench.plugin.model"] for run in bench.runs()}
    assert origins == {"benchbench:cifar_resnet", "benchbench-my-net:my-net"}
    assert "my-net" in succeed(bench("compare"))

    virtual_environment.pip("uninstall", "benchbench-my-net")
    for words in (("compare",), ("runs", "list")):
        assert "my-net" in succeed(bench(*words))
    succeed(bench("report", "-o", "report.html"))
    assert "my-net" in (tmp_path / "report.html").read_text(encoding="utf-8")
    missing = bench("grid", "grid.toml")
    assert missing.returncode == 2
    assert "no model named 'my-net'" in missing.stderr


def test_new_packages_pass_their_own_tests_side_by_side(
    virtual_environment: VirtualEnvironment, tmp_path: Path
) -> None:
    packages = [new_package(kind, f"my-{kind}", tmp_path) for kind in ("model", "dataset")]
    virtual_environment.pip("install", *packages)
    done = virtual_environment.pytest(*packages, folder=tmp_path)
    assert "4 passed" in succeed(done)
