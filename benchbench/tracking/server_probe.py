"""Asks an MLflow server whether it answers, as MLflow's own client would ask it, but without MLflow's import of 2 s."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchbench.errors import TrackingError
from benchbench.records.redaction import without_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_SECONDS = 3
"""How long a server has to answer at all."""


def server_that_answers(uri: str) -> str:
    """Return the address of a server; raises :class:`TrackingError` if it does not answer, or refuses us."""
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
            timeout=ANSWER_SECONDS,
            auth=_login(),
            headers=_token(),
            verify=_trust(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        )
    except OSError as error:  # of requests, or of a file with a certificate
        reason = f"in {ANSWER_SECONDS} seconds" if isinstance(error, requests.Timeout) else f"({type(error).__name__})"
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
