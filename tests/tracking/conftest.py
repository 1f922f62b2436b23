"""What several tests of the tracker stand on."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.results_folders import deliver, folder

from benchbench.records.grid_end import GridEnd
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def database(workdir: Path, empty_database: Path) -> str:
    """Return the URI of a new SQLite store in the working folder."""
    shutil.copy(empty_database, workdir / "mlflow.db")
    return f"sqlite:///{workdir}/mlflow.db"


@pytest.fixture
def store(database: str) -> Store:
    """Return that store, with the default experiment."""
    return Store.open(database)


@pytest.fixture
def here(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder with a grid of two trials, and a third that stands alone and failed."""
    store = folder(tmp_path / "here", empty_database, monkeypatch)
    file = tmp_path / "here" / "rates.toml"
    parent = store.open_parent("rates", file=file, headline="Which rate?")
    for seed in (0, 1):
        deliver(store, tmp_path, seed, parent=parent)
    deliver(store, tmp_path, 2, parent=None, fails=True)
    GridEnd(store.tracking_uri, parent, "finished", note="**Which rate?**", files={"trials.json": "[]"}).keep()
    store.close_parents()
    return store
