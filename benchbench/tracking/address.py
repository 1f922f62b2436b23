"""Where MLflow's store is, and whether it can be used. Nothing here imports MLflow: that takes 2 s."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchbench.errors import TrackingError

if TYPE_CHECKING:
    from benchbench.records.record import MlflowRun

DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own default since 3.7, the same for ``mlflow ui`` without arguments."""

PROBE_SECONDS = 3
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s?#'\"]*@")
_SECRET_IN_QUERY = re.compile(r"([?&](?:password|passwd|pwd|token)=)[^&\s'\"]+", re.IGNORECASE)


def find_store(tracking_uri: str | None = None) -> str:
    """Return the URI of the store: the one given, else ``MLFLOW_TRACKING_URI``, else MLflow's default.

    The path of a SQLite file is made absolute. Raises :class:`TrackingError` where the store cannot be used.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri:
        _refuse_left_over_file_store()
        uri = DEFAULT_URI
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme == "sqlite":
        return _sqlite_that_can_be_written(uri)
    if scheme in ("http", "https"):
        _probe_server(uri.rstrip("/"))
        return uri.rstrip("/")
    if scheme == "file" or (not scheme and uri not in ("databricks", "databricks-uc")):
        raise TrackingError(
            f"the tracking URI {uri!r} is a folder, and MLflow 3.13 and later keep no runs in folders",
            hint=f"unset MLFLOW_TRACKING_URI, or set it to {DEFAULT_URI} or to the address of a server",
        )
    return uri


def without_credentials(text: str) -> str:
    """Return the text with the user names, passwords and tokens of all URLs in it taken out."""
    return _SECRET_IN_QUERY.sub(r"\1***", _USER_AND_PASSWORD.sub("", text))


def how_to_open(run: MlflowRun) -> str:
    """Return the line that opens a run in the browser: a URL, after ``mlflow ui`` where no server runs."""
    place = f"#/experiments/{run.experiment_id}/runs/{run.run_id}"
    uri = without_credentials(run.tracking_uri)
    if uri.startswith(("http://", "https://")):
        return f"{uri}/{place}"
    is_default = sqlite_path(uri) == Path("mlflow.db").absolute()
    command = "mlflow ui" if is_default else f"mlflow ui --backend-store-uri {uri}"
    return f"{command}  then  http://127.0.0.1:5000/{place}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, or None for any other URI."""
    scheme, _, path = uri.partition(":///")
    if scheme.split("+")[0] != "sqlite" or not path:
        return None
    return Path(path.partition("?")[0])


def _refuse_left_over_file_store() -> None:
    # MLflow itself goes back to the file store where it sees one, and then refuses it
    # (mlflow/tracking/_tracking_service/utils.py, _has_existing_mlruns_data).
    for meta in Path("mlruns").glob("*/meta.yaml"):
        if meta.parent.name.isdigit():
            raise TrackingError(
                f"the folder {meta.parent.parent} holds runs of an older MLflow, which the newer refuses",
                hint="move it away"
                f" (`mlflow migrate-filestore --source mlruns --target {DEFAULT_URI}` keeps its runs),"
                f" or set MLFLOW_TRACKING_URI={DEFAULT_URI} to leave it where it is",
            )


def _sqlite_that_can_be_written(uri: str) -> str:
    path = sqlite_path(uri)
    if path is None or path.name == ":memory:":
        raise TrackingError(f"the tracking URI {uri!r} names no file", hint=f"a SQLite store is written {DEFAULT_URI}")
    if not path.parent.is_dir():
        raise TrackingError(f"no such folder for the tracking database: {path.parent}", hint="make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            _try_to_lock(path)
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(
            f"the tracking database {path} cannot be written: {error}",
            hint="start bench in a folder that you may write to, or set MLFLOW_TRACKING_URI",
        ) from error
    return uri.replace(f":///{path}", f":///{path.absolute()}", 1)


def _try_to_lock(path: Path) -> None:
    """Begin to write a database that exists, and leave it as it is; another writer is no obstacle."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=PROBE_SECONDS)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise


def _probe_server(uri: str) -> None:
    import requests

    shown = without_credentials(uri)
    hint = "start it with `mlflow server`, or unset MLFLOW_TRACKING_URI to keep results in ./mlflow.db"
    try:
        answer = requests.get(f"{uri}/health", timeout=PROBE_SECONDS, auth=_login(), headers=_token(), verify=_trust())
    except requests.RequestException as error:
        reason = "in 3 seconds" if isinstance(error, requests.Timeout) else f"({type(error).__name__})"
        raise TrackingError(f"the tracking server {shown} does not answer {reason}", hint=hint) from None
    if answer.status_code in (401, 403):
        raise TrackingError(
            f"the tracking server {shown} refuses access ({answer.status_code})",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    if not answer.ok:
        raise TrackingError(
            f"what answers at {shown} is no MLflow server, or not in order: {answer.status_code} for /health",
            hint=hint,
        )


# The three below read the variables that MLflow reads.


def _login() -> tuple[str, str] | None:
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{word}") for word in ("USERNAME", "PASSWORD"))
    return (user, password) if user and password else None


def _token() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token and not _login() else {}


def _trust() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
