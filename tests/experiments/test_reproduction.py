"""The page about the paper: every table on it is what its command prints about the results that are shipped."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest
from support.paths import REPOSITORY
from typer.testing import CliRunner

from benchbench import import_results
from benchbench.cli.main import make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "reproduction.md"
RESULTS = REPOSITORY / "docs" / "reproduction" / "results.bench"
BLOCK = re.compile(r"^\$ bench (compare .*)\n((?:(?!^\$|^```).*\n)+)", re.MULTILINE)
MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """Give the address of a fresh store into which the results were imported."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("BENCH_STATE", str(folder / ".bench"))
        assert import_results(RESULTS).num_new > 0
        yield f"sqlite:///{folder}/mlflow.db"


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_page_shows_what_its_commands_print(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(REPOSITORY)
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert blocks
    for command, output in blocks:
        shown = CliRunner().invoke(make_app(), shlex.split(command))
        assert shown.exit_code == 0, shown.output
        assert lines_of(shown.stdout) == lines_of(output), f"bench {command} prints something else"


def test_the_results_are_small_enough_to_ship() -> None:
    assert RESULTS.stat().st_size < MAX_BYTES
