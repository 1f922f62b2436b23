"""A stranger's package, from its first file to the day when it is removed again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.commands import Bench

if TYPE_CHECKING:
    from pathlib import Path

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


def python(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=500, check=False)


def test_a_foreign_package_is_written_installed_compared_and_removed(
    tmp_path: Path, cache: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, cache)
    succeed(bench("plugin", "new", "model", "my-net"))
    package, site = tmp_path / "benchbench-my-net", tmp_path / "site"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", site)
    succeed(python("pip", "install", *options, package))
    installed = Bench(tmp_path, cache, {"PYTHONPATH": str(site)})
    assert "benchbench-my-net:my-net" in succeed(installed("show", "model", "my-net"))
    succeed(python("pytest", "-q", "-p", "no:cacheprovider", package, PYTHONPATH=str(site)))

    bench.write("grid.toml", GRID)
    succeed(installed("grid", "grid.toml", "--jobs", "2", "--artifacts", "none"))
    origins = {run.data.tags["benchbench.plugin.model"] for run in bench.runs()}
    assert origins == {"benchbench:cifar_resnet", "benchbench-my-net:my-net"}
    assert "my-net" in succeed(installed("compare"))

    shutil.rmtree(site)
    assert "my-net" not in succeed(bench("list", "models"))
    for words in (("compare",), ("runs", "list"), ("report", "-o", "report.html")):
        succeed(bench(*words))
    assert "my-net" in succeed(bench("compare"))
    assert "my-net" in (tmp_path / "report.html").read_text(encoding="utf-8")
    missing = bench("grid", "grid.toml")
    assert missing.returncode == 2
    assert "no model named 'my-net'" in missing.stderr
