"""What several tests of the tracker stand on."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

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
