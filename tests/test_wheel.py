"""The wheel has everything: built from the tree, installed into an environment of its own, it trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from support.paths import PLUGINS, REPOSITORY

pytestmark = pytest.mark.slow
PACKAGES = {"benchbench/": "benchbench/", "plugins/": "benchbench_plugins/"}
"""Folders of the tree, and what the wheel calls them."""

PIP = (sys.executable, "-m", "pip", "--quiet")


def succeed(*command: str | Path, folder: Path) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the files that git knows or would take: no build leaves anything in the checkout."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is no git checkout")
    folder = tmp_path_factory.mktemp("tree")
    listed = succeed("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=REPOSITORY)
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    succeed(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", folder=tree)
    (path,) = tree.glob("dist/*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh environment with the wheel, and with links to what is installed here, such as torch."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not (path.suffix == ".pth" or "benchbench" in path.name):
            (packages / path.name).symlink_to(path)
    succeed(*PIP, "--python", folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel, folder=folder)
    return folder


def test_the_wheel_has_every_file_of_the_packages(wheel: Path, tree: Path) -> None:
    in_tree = {
        name + path.relative_to(tree / folder).as_posix()
        for folder, name in PACKAGES.items()
        for path in (tree / folder).rglob("*")
        if path.is_file()
    }
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(tuple(PACKAGES.values()))}
    assert in_wheel == in_tree


def test_an_installed_wheel_trains(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("BENCH_STATE")
    where = succeed("python", "-c", "import benchbench; print(benchbench.__file__)", folder=tmp_path)
    assert environment in Path(where).parents

    words = ("tiny", "digits", "--plugins", PLUGINS / "tiny.py", "-o", "adam", "-e", "1", "--json")
    record = json.loads(succeed("bench", "run", *words, folder=tmp_path))
    assert record["status"] == "finished"
    assert (tmp_path / "mlflow.db").exists()
