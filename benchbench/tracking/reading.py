"""A store that is read: a client of it, its runs, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import BenchError, TrackingError
from benchbench.records.redaction import without_credentials
from benchbench.records.sqlite_addresses import sqlite_path, with_path
from benchbench.tracking.address import find_readable_store, is_writable
from benchbench.tracking.client import mlflow_client
from benchbench.tracking.experiments import find_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000
_FULL = ("disk is full", os.strerror(errno.ENOSPC))
"""What SQLite and the system say of a full disk."""

_DRIVERS = {
    "psycopg": "pip install 'psycopg[binary]', or write postgresql+psycopg2:// if you have psycopg2",
    "psycopg2": "pip install psycopg2-binary, or write postgresql+psycopg:// if you have psycopg",
    "MySQLdb": "pip install mysqlclient, or write mysql+pymysql:// if you have pymysql",
}
"""What to do if SQLAlchemy's choice of a driver is not installed; for PostgreSQL it depends on SQLAlchemy's version."""

_MAKE_ROOM = "free some disk space, and run the same command again"


@dataclass(frozen=True)
class ReadableStore:
    """A store that is read. ``tracking_uri`` is its address, without credentials."""

    client: MlflowClient
    tracking_uri: str


@contextmanager
def reading(tracking_uri: str | None = None) -> Iterator[ReadableStore]:
    """Give a store that must be there; raises :class:`TrackingError` for whatever goes wrong with it."""
    uri = find_readable_store(tracking_uri)
    with as_tracking_error(*_cannot_read(uri)), _opened(uri) as client:
        yield ReadableStore(client, without_credentials(uri))


@contextmanager
def looking_up(experiment: str) -> Iterator[tuple[MlflowClient, str]]:
    """Give a client and the id of an experiment; errors of the block are its own, and not those of the store."""
    uri = find_readable_store()
    with ExitStack() as stack:
        with as_tracking_error(*_cannot_read(uri)):
            client = stack.enter_context(_opened(uri))
            experiment_id = find_experiment(client, without_credentials(uri), experiment).experiment_id
        yield client, experiment_id


def _cannot_read(uri: str) -> tuple[str, str]:
    return f"cannot read the tracking store {without_credentials(uri)}", other_version_hint(uri)


@contextmanager
def _opened(uri: str) -> Iterator[MlflowClient]:
    """Give a client; of a database in a folder that cannot be written, since SQLite writes there even to read."""
    path = sqlite_path(uri)
    if path is None or is_writable(path):
        yield mlflow_client(uri)
        return
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        # Whoever writes may not have moved the last changes from the log to the database yet.
        for source in (path, path.with_name(f"{path.name}-wal")):
            if source.exists():
                shutil.copyfile(source, Path(folder) / source.name)
        yield mlflow_client(with_path(uri, Path(folder) / path.name))


def search(client: MlflowClient, experiment_id: str, query: str, view: int) -> Iterator[Run]:
    """Yield all runs of an experiment that match a query, oldest first, however many."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], query, view, max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def other_version_hint(uri: str) -> str:
    """Return what to do about a store that another version of MLflow made."""
    shown = without_credentials(uri)
    return (
        f"`mlflow db upgrade {shown}` brings the database of an older MLflow up to date (copy it first);"
        " that of a newer one needs the newer MLflow"
        if sqlite_path(uri)
        else "`bench doctor` shows what is wrong with it"
    )


@contextmanager
def as_tracking_error(summary: str, hint: str = "") -> Iterator[None]:
    """Turn whatever MLflow, its database or its server raises into one line that begins with the summary."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy and requests raise many kinds
        lines = without_credentials(str(error)).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        if any(words in reason for words in _FULL):
            hint = _MAKE_ROOM
        elif isinstance(error, ModuleNotFoundError):
            hint = _DRIVERS.get(error.name or "", hint)
        raise TrackingError(f"{summary}: {reason}", hint=hint) from error
