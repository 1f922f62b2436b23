"""Imports MLflow when it is first needed: without telemetry, log lines and retries that take minutes.

Values are sent to it in as few calls as possible.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchbench.paths import create_whole, ensure_home, is_on_local_disk
from benchbench.records.sqlite_addresses import sqlite_path, with_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlflow import MlflowClient

    from benchbench.records.results_file import Point

T = TypeVar("T")

HTTP_TIMEOUT_SECONDS, HTTP_RETRIES = 30, 2
"""Of one request. MLflow's own are 120 s and 7: it would take four minutes to notice that a server is gone."""

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
# Two threads at once would restore what the other has set.
_retrying = threading.Lock()

# The limits of MLflow's own store, mlflow/utils/validation.py.
_MAX_PARAMS = _MAX_TAGS = 100
_MAX_METRICS = 1000 - _MAX_PARAMS - _MAX_TAGS

_OURS = {
    # mlflow/telemetry/utils.py reads it once, when mlflow is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # At the end of each run on a server it prints "View run ...", where our JSON may be.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A call that returns has to mean that the server has it.
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(HTTP_TIMEOUT_SECONDS),
    _RETRIES: str(HTTP_RETRIES),
    # Reading a hundred records would draw a hundred bars.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client of the store; importing MLflow takes two seconds the first time."""
    os.environ.update(_OURS)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    ensure_home()
    import mlflow

    # Creating a database tells of 60 migrations, and every error is logged with a traceback before it is
    # raised; we report errors ourselves, and a live display owns the terminal.
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow.MlflowClient(_with_driver(tracking_uri))


def _with_driver(tracking_uri: str) -> str:
    """Name the driver of a SQLite address whose path is quoted: without one, MLflow makes a folder of that name."""
    is_quoted = sqlite_path(tracking_uri) is not None and "%" in tracking_uri
    return tracking_uri.replace("sqlite://", "sqlite+pysqlite://", 1) if is_quoted else tracking_uri


def make_database(tracking_uri: str) -> None:
    """Make the database of a SQLite URI if there is none, whole or not at all.

    MLflow makes it table by table, in seconds, and can never use one if it was killed meanwhile. So we make it
    elsewhere, and a call that ends early, over a typo for example, leaves nothing beside the user's files. With a
    write-ahead log, `mlflow ui` reads while we write, and a commit waits for the disk once instead of three times. But
    its users must all be on one machine (https://sqlite.org/wal.html), so a network drive gets none.
    """
    path = sqlite_path(tracking_uri)
    if path is None or path.exists():
        return
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        new_file = Path(folder) / path.name
        mlflow_client(with_path(tracking_uri, new_file)).search_experiments()
        if is_on_local_disk(path.parent):
            with closing(sqlite3.connect(new_file)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        create_whole(path, new_file.read_bytes())  # unless another call was faster


def create_once(create: Callable[[], T], find: Callable[[], T | None]) -> T:
    """Return what ``create`` makes in MLflow, or what ``find`` finds after an error.

    A gateway may have lost the answer of a server that has made it. MLflow's own client would repeat the request after
    an error 502 or 504, and so make it twice.
    """
    from mlflow.exceptions import MlflowException

    try:
        with _without_retries():
            return create()
    except MlflowException:
        made = find()
        if made is not None:
            return made
    with _without_retries():
        return create()


@contextmanager
def _without_retries() -> Iterator[None]:
    with _retrying:
        before = os.environ[_RETRIES]
        os.environ[_RETRIES] = "0"
        try:
            yield
        finally:
            os.environ[_RETRIES] = before


def log_in_batches(
    client: MlflowClient,
    run_id: str,
    *,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    points: Iterable[Point] = (),
) -> None:
    """Send values to a run in as few calls as MLflow allows: each is a transaction of 20 ms."""
    from mlflow.entities import Metric, Param, RunTag

    left_params = [Param(key, value) for key, value in (params or {}).items()]
    left_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
    left_metrics = [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in points]
    while left_params or left_tags or left_metrics:
        client.log_batch(
            run_id,
            params=left_params[:_MAX_PARAMS],
            tags=left_tags[:_MAX_TAGS],
            metrics=left_metrics[:_MAX_METRICS],
        )
        left_params, left_tags = left_params[_MAX_PARAMS:], left_tags[_MAX_TAGS:]
        left_metrics = left_metrics[_MAX_METRICS:]
