"""Files are replaced whole, and caches have a folder whoever the user is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from benchbench import paths
from benchbench.paths import create_whole, replacing, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "old")
    with contextlib.suppress(ValueError), replacing(path) as file:
        file.write(b"ne")
        raise ValueError
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_others_may_read_what_is_written_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "state.json", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.slow
def test_a_user_without_a_home_has_caches_and_mlflow(tmp_path: Path) -> None:
    program = """
import os, pwd
os.environ.pop("HOME", None)
def nobody(_): raise KeyError
pwd.getpwuid = nobody
from benchbench.paths import cache_folder
from benchbench.tracking.client import mlflow_client
print(cache_folder())
mlflow_client("sqlite:///mlflow.db")
"""
    variables = {
        key: value for key, value in os.environ.items() if key not in ("HOME", "BENCH_CACHE", "XDG_CACHE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tempfile.gettempdir()}/benchbench-{os.getuid()}/.cache/benchbench\n"


def test_a_home_that_others_can_write_to_is_not_taken(tmp_path: Path) -> None:
    assert paths._own_folder(tmp_path / "mine") == tmp_path / "mine"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name in ("open", "link"):
        other = paths._own_folder(tmp_path / name)
        assert other != tmp_path / name
        assert other.stat().st_mode & 0o077 == 0
        other.rmdir()


def test_a_file_that_another_call_has_made_is_left_alone(tmp_path: Path) -> None:
    create_whole(tmp_path / "file", b"ours")
    create_whole(tmp_path / "file", b"theirs")
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere" / "report.html", tmp_path / "report.html"
    target.parent.mkdir()
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert len(list(tmp_path.rglob("*"))) == 3
