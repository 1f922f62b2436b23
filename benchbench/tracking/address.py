"""Where MLflow's store is, and whether it can be used. Nothing here imports MLflow: that takes 2 s."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchbench.errors import TrackingError, closest
from benchbench.records.redaction import without_credentials
from benchbench.records.sqlite_addresses import sqlite_path, with_path
from benchbench.tracking.server_probe import server_that_answers

if TYPE_CHECKING:
    from benchbench.records.record import MlflowRun

DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own default since 3.7, the same for ``mlflow ui`` without arguments."""

_LOCK_SECONDS = 3
"""How long to wait for others who write to the database."""

_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
_DATABRICKS = ("databricks", "databricks-uc", "uc")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9_.\-]+:\d+(/.*)?")
_SQLITE_BEGINS = b"SQLite format 3\0"


def find_store(tracking_uri: str | None = None) -> str:
    """Return the URI of the store: the one given, else ``MLFLOW_TRACKING_URI``, else MLflow's default.

    The path of a SQLite file is made absolute. Raises :class:`TrackingError` if the store cannot be written.
    """
    uri = _named(tracking_uri)
    path = sqlite_path(uri)
    if path is None:
        return uri
    _check_folder(uri, path)
    _check_writable(path)
    return with_path(uri, path.absolute())


def find_readable_store(tracking_uri: str | None = None) -> str:
    """Return the URI of a store that need only be read, found in the same way.

    Raises :class:`TrackingError` if there is none.
    """
    uri = _named(tracking_uri)
    path = sqlite_path(uri)
    if path is None:
        return uri
    if not path.exists():
        raise TrackingError(
            f"nothing was run here: there is no tracking database {path.absolute()}",
            hint=_absolute_hint(uri, path) or "start bench where you ran the trials, or set MLFLOW_TRACKING_URI",
        )
    _check_database(path)
    return with_path(uri, path.absolute())


def is_writable(path: Path) -> bool:
    """Tell whether a database, and the files that SQLite puts beside it, can be written."""
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def how_to_open(run: MlflowRun) -> str:
    """Return the line that opens a run in the browser: a URL, after ``mlflow ui`` if no server runs."""
    if page := page_of(run):
        return page
    uri = without_credentials(run.tracking_uri)
    is_default = sqlite_path(uri) == Path("mlflow.db").absolute()
    command = "mlflow ui" if is_default else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return f"{command}  then  http://127.0.0.1:5000/{_fragment(run)}"


def page_of(run: MlflowRun) -> str:
    """Return the address of a run's page on its server; an empty text if no server keeps it."""
    uri = without_credentials(run.tracking_uri)
    return f"{uri}/{_fragment(run)}" if uri.startswith(("http://", "https://")) else ""


def _fragment(run: MlflowRun) -> str:
    return f"#/experiments/{run.experiment_id}/runs/{run.run_id}"


def _named(tracking_uri: str | None) -> str:
    """Return the address that was given, or the default; raises :class:`TrackingError` for what is none."""
    uri = (tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "").strip()
    if not uri:
        _refuse_left_over_file_store()
        return DEFAULT_URI
    scheme = urlsplit(uri).scheme.split("+")[0]
    if _HOST_AND_PORT.fullmatch(uri):
        raise TrackingError(
            f"the tracking URI {uri!r} does not say how to reach the server",
            hint=f"MLFLOW_TRACKING_URI=http://{uri}",
        )
    if scheme == "sqlite":
        path = sqlite_path(uri)
        if path is None or path.name == ":memory:":
            raise TrackingError(
                f"the tracking URI {uri!r} names no file", hint=f"a SQLite store is written {DEFAULT_URI}"
            )
        return uri
    if scheme in ("http", "https"):
        return server_that_answers(uri)
    if scheme == "file" or (not scheme and uri not in _DATABRICKS):
        raise TrackingError(
            f"the tracking URI {_shown(uri)!r} is a folder, and MLflow 3.13 and later keep no runs in folders",
            hint=f"unset MLFLOW_TRACKING_URI, or set it to {DEFAULT_URI} or to the address of a server, http://HOST:PORT",
        )
    _check_scheme(uri, scheme)
    return uri


def _check_scheme(uri: str, scheme: str) -> None:
    plugins = importlib.metadata.entry_points(group="mlflow.tracking_store").names
    known = {*_SCHEMES, *_DATABRICKS, *plugins}
    if uri not in known and scheme not in known:
        raise TrackingError(
            f"the tracking URI {_shown(uri)!r} is of a kind that MLflow does not support",
            hint=closest(scheme, known) or "such as http://HOST:PORT, sqlite:///FILE or postgresql://HOST/DATABASE",
        )


def _shown(uri: str) -> str:
    """Return an address without what may be a password: without a scheme, a user's name looks like one."""
    return without_credentials(uri).rpartition("@")[2]


def _refuse_left_over_file_store() -> None:
    # MLflow itself goes back to the file store if it sees one, and then refuses it
    # (mlflow/tracking/_tracking_service/utils.py, _has_existing_mlruns_data).
    for meta in Path("mlruns").glob("*/meta.yaml"):
        if meta.parent.name.isdigit():
            raise TrackingError(
                f"the folder {meta.parent.parent} holds runs of an older MLflow, which the installed one does not read",
                hint="move it away"
                f" (`mlflow migrate-filestore --source mlruns --target {DEFAULT_URI}` keeps its runs),"
                f" or set MLFLOW_TRACKING_URI={DEFAULT_URI} to leave it where it is",
            )


def _check_folder(uri: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise TrackingError(
            f"no such folder for the tracking database: {path.parent}",
            hint=_absolute_hint(uri, path) or "make it first",
        )


def _absolute_hint(uri: str, path: Path) -> str:
    """Return what to write if a path is relative and was meant to be absolute."""
    absolute = path.expanduser() if str(path).startswith("~") else Path("/") / path
    if path.is_absolute() or len(path.parts) == 1 or not absolute.parent.is_dir():
        return ""
    return f"an absolute path takes four slashes: {with_path(uri, absolute)}"


def _check_writable(path: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            _try_to_lock(path)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TrackingError(
            f"the tracking database {path} cannot be written: {reason}",
            hint="start bench in a folder that you may write to, or set MLFLOW_TRACKING_URI",
        ) from error


def _check_database(path: Path) -> None:
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_SQLITE_BEGINS))
    except OSError as error:
        raise TrackingError(f"the tracking database {path} cannot be read: {error.strerror}") from error
    if beginning != _SQLITE_BEGINS:
        raise TrackingError(f"the tracking database {path} is not a database", hint="set MLFLOW_TRACKING_URI")


def _try_to_lock(path: Path) -> None:
    """Begin to write a database that exists, and leave it as it is; another writer is no obstacle."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
