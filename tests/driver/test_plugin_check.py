"""What a word of ``bench plugin check`` stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.distributions import install
from support.paths import PLUGINS

from benchbench.driver.plugin_check import select
from benchbench.errors import PluginError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a package ``beta`` that is not installed."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "beta"\n')
    return folder


def install_beta(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the package with its module in a folder that is on the path."""
    folder.mkdir(parents=True)
    (folder / "beta_plugins.py").write_text((PLUGINS / "tiny.py").read_text())
    install(folder, "beta", "beta_plugins")
    monkeypatch.syspath_prepend(folder)


def test_the_folder_of_a_package_stands_for_its_plugins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_beta(project / "src", monkeypatch)
    assert select(str(project)).origins == ("beta:main",)


@pytest.mark.parametrize("folder", ["elsewhere", "project/.venv/lib/site-packages"])
def test_a_package_that_is_imported_from_another_copy_is_not_checked_in_its_place(
    folder: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_beta(project.parent / folder, monkeypatch)
    with pytest.raises(PluginError, match=r"the package beta is imported from .*beta_plugins\.py, not from ") as caught:
        select(str(project))
    assert caught.value.hint == f"pip install -e {project}"


def test_a_folder_of_plugin_files_may_have_settings_of_tools(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.ruff]\nline-length = 120\n")
    (project / "mine.py").write_text("")
    assert select(str(project)).origins == (str(project / "mine.py"),)


def test_a_plugin_of_one_of_two_files_of_one_name_is_named_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DISABLE", "benchbench")  # the shipped plugins take seconds
    files = [tmp_path / folder / "net.py" for folder in ("v1", "v2")]
    for file in files:
        file.parent.mkdir()
        file.write_text((PLUGINS / "tiny.py").read_text())
    for file in files:
        selection = select(f"{file.parent.name}/net.py:tiny", tuple(map(str, files)))
        assert (selection.origins, selection.names) == ((str(file),), ("tiny",))
