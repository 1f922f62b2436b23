"""Addresses of SQLite databases, in folders of any name."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from benchbench.records.sqlite_addresses import from_state, sqlite_path, sqlite_uri, to_state

FOLDERS = ("x y", "x%20y", "50%25", "100%", "a#b", "a?b=c", "Bäume ß", "日本", "a+b&c;d", "~")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_path_is_what_sqlalchemy_makes_of_its_address(folder: str) -> None:
    path = Path("/data") / folder / "mlflow.db"
    assert make_url(sqlite_uri(path)).database == str(path)
    assert sqlite_path(sqlite_uri(path)) == path


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_address_is_kept_relative_to_the_state_and_read_back(
    folder: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_STATE", str(workdir / ".bench"))
    uri = sqlite_uri(workdir / folder / "mlflow.db")
    assert str(workdir) not in to_state(uri)
    assert from_state(to_state(uri)) == uri


@pytest.mark.parametrize("uri", ["http://host:5000", "sqlite:////elsewhere/mlflow.db", "postgresql://host/db"])
def test_other_addresses_are_kept_as_they_are(uri: str) -> None:
    assert to_state(uri) == from_state(uri) == uri


def test_only_sqlite_addresses_have_a_file() -> None:
    assert sqlite_path("sqlite+pysqlite:///mlflow.db?timeout=5") == Path("mlflow.db")
    assert sqlite_path("postgresql:///mlflow") is None
    assert sqlite_path("sqlite://") is None
