"""The MLflow experiment of calls that name none."""

from __future__ import annotations

import os

DEFAULT_EXPERIMENT = "bench"


def default_experiment() -> str:
    """Return the name of the experiment if none is given: ``MLFLOW_EXPERIMENT_NAME``, else ``bench``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
