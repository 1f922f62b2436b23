"""MLflow as a guest: imported when first needed, without telemetry, silent, and not patient for minutes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_OURS = {
    # mlflow/telemetry/utils.py reads it once, when mlflow is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_DEFAULTS = {
    # MLflow's own are 120 s and 7 retries: four minutes until a server that went away is noticed.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client of the store; importing MLflow takes two seconds the first time."""
    os.environ.update(_OURS)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - after the settings above, and not before it is needed

    # Creating a database tells of 60 migrations, and every error is logged with a traceback before it is
    # raised; we report errors ourselves, and a live display owns the terminal.
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow.MlflowClient(tracking_uri)
