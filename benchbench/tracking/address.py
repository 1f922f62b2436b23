"""Where MLflow's store is, and whether it can be used. Nothing here imports MLflow: that takes 2 s."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import shlex
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchbench.errors import TrackingError, closest
from benchbench.records.redaction import without_credentials
from benchbench.records.sqlite_addresses import sqlite_path, with_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.records.record import MlflowRun

DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own default since 3.7, the same for ``mlflow ui`` without arguments."""

PROBE_SECONDS = 3
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
        return _server_that_answers(uri)
    if scheme == "file" or (not scheme and uri not in _DATABRICKS):
        raise TrackingError(
            f"the tracking URI {uri!r} is a folder, and MLflow 3.13 and later keep no runs in folders",
            hint=f"unset MLFLOW_TRACKING_URI, or set it to {DEFAULT_URI} or to the address of a server, http://HOST:PORT",
        )
    _check_scheme(uri, scheme)
    return uri


def _check_scheme(uri: str, scheme: str) -> None:
    plugins = importlib.metadata.entry_points(group="mlflow.tracking_store").names
    known = {*_SCHEMES, *_DATABRICKS, *plugins}
    if uri not in known and scheme not in known:
        shown = without_credentials(uri).rpartition("@")[2]  # without a scheme, a user's name looks like one
        raise TrackingError(
            f"the tracking URI {shown!r} is of a kind that MLflow does not support",
            hint=closest(scheme, known) or "such as http://HOST:PORT, sqlite:///FILE or postgresql://HOST/DATABASE",
        )


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
    with closing(sqlite3.connect(path, timeout=PROBE_SECONDS)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise


def _server_that_answers(uri: str) -> str:
    import requests

    address = uri.partition("#")[0].rstrip("/")
    shown = without_credentials(address)
    if "#" in uri:
        raise TrackingError(
            f"the tracking URI {without_credentials(uri)!r} is the address of a web page",
            hint=f"use the address of the server: MLFLOW_TRACKING_URI={shown}",
        )
    try:
        answer = requests.get(
            f"{address}/health",
            timeout=PROBE_SECONDS,
            auth=_login(),
            headers=_token(),
            verify=_trust(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        )
    except OSError as error:  # of requests, or of a file with a certificate
        reason = "in 3 seconds" if isinstance(error, requests.Timeout) else f"({type(error).__name__})"
        raise TrackingError(
            f"the tracking server {shown} does not answer {reason}", hint=_server_hint(address, error)
        ) from None
    if answer.status_code in (401, 403) and not _has_login_of_its_own():
        raise TrackingError(
            f"the tracking server {shown} refuses access ({answer.status_code})",
            hint=_proxy_hint(address)
            or "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    if not answer.ok and answer.status_code not in (401, 403):
        raise TrackingError(
            f"there is no working MLflow server at {shown}: it answers {answer.status_code} for /health",
            hint=_server_hint(address),
        )
    return address


def _server_hint(address: str, error: Exception | None = None) -> str:
    """Return what to do about a server that cannot be reached."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return (
            "if the server has no TLS, use http://; for your own certificate, set MLFLOW_TRACKING_SERVER_CERT_PATH=FILE"
        )
    return (
        _proxy_hint(address)
        or "start it with `mlflow server`, or unset MLFLOW_TRACKING_URI to keep results in ./mlflow.db"
    )


def _proxy_hint(address: str) -> str:
    """Return how to go around the proxy between us and a server, if there is one."""
    import requests

    host = urlsplit(address).hostname or ""
    proxy = requests.utils.get_environ_proxies(address).get(urlsplit(address).scheme)
    return f"the proxy {without_credentials(proxy)} is in between; NO_PROXY={host} goes around it" if proxy else ""


# What follows reads what MLflow reads.


def _has_login_of_its_own() -> bool:
    """Tell whether MLflow signs its requests in a way that this one, which only asks for an answer, does not."""
    of_plugins = importlib.metadata.entry_points(group="mlflow.request_header_provider")
    names = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")
    return bool(of_plugins) or any(map(os.environ.get, names))


def _login() -> tuple[str, str] | None:
    kept = _kept_login()
    user, password = (
        os.environ.get(f"MLFLOW_TRACKING_{word}") or kept.get(f"mlflow_tracking_{word.lower()}")
        for word in ("USERNAME", "PASSWORD")
    )
    return (user, password) if user and password else None


def _kept_login() -> Mapping[str, str]:
    """Return what MLflow's file of credentials has; without MLflow, whose import looks at what we set before."""
    file = configparser.ConfigParser()
    with suppress(configparser.Error, OSError, RuntimeError, UnicodeDecodeError):  # MLflow tells what is wrong with it
        file.read(Path.home() / ".mlflow" / "credentials")
        return dict(file["mlflow"]) if file.has_section("mlflow") else {}
    return {}


def _token() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token and not _login() else {}


def _trust() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
