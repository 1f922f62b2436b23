"""The trained model as an MLflow logged model, with explicit ids and without MLflow's global state."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchbench.records import file_names
from benchbench.records.metrics import logged_final_values
from benchbench.tracking import run_data
from benchbench.tracking.client import create_once

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.exceptions import MlflowException

    from benchbench.records.record import MlflowRun, Record

_READY: Literal["READY"] = "READY"


def send(client: MlflowClient, run: MlflowRun, record: Record, *, folder: Path) -> None:
    """Make ``folder``, an MLflow model folder, the run's model; does nothing a second time."""
    from mlflow.exceptions import MlflowException

    try:
        _send(client, run, record, folder=folder)
    except MlflowException as error:
        if not _knows_no_models(error):
            raise
        client.log_artifacts(run.run_id, str(folder), file_names.MODEL_FOLDER)


def _knows_no_models(error: MlflowException) -> bool:
    """Tell whether a server is older than MLflow 3, and knows models only as files of a run."""
    return bool(error.error_code == "ENDPOINT_NOT_FOUND")


def _send(client: MlflowClient, run: MlflowRun, record: Record, *, folder: Path) -> None:
    def find() -> LoggedModel | None:
        return _find(client, run.experiment_id, record.attempt)

    model = find() or create_once(lambda: _create(client, run, record), find)
    if model.status != _READY:
        client.log_model_artifacts(model.model_id, str(folder))
        _send_description(client, run, model, folder=folder)
        client.finalize_logged_model(model.model_id, _READY)
    _link(client, run, model, record)


def find_logged_model(client: MlflowClient, experiment_id: str, attempt: str) -> LoggedModel | None:
    """Return the trained model of an attempt, if MLflow has it other than as files of the run."""
    from mlflow.exceptions import MlflowException

    try:
        return _find(client, experiment_id, attempt)
    except MlflowException as error:
        if not _knows_no_models(error):
            raise
        return None


def _find(client: MlflowClient, experiment_id: str, attempt: str) -> LoggedModel | None:
    tagged = f"tags.`{run_data.ATTEMPT_TAG}` = '{attempt}'"
    models = client.search_logged_models([experiment_id], tagged, max_results=1)
    return models[0] if models else None


def _create(client: MlflowClient, run: MlflowRun, record: Record) -> LoggedModel:
    return client.create_logged_model(
        run.experiment_id,
        name=file_names.MODEL_FOLDER,
        source_run_id=run.run_id,
        tags={run_data.ATTEMPT_TAG: record.attempt},
        params=run_data.params(record.spec),
        model_type="classifier",
    )


def _send_description(client: MlflowClient, run: MlflowRun, model: LoggedModel, *, folder: Path) -> None:
    """Send the file MLmodel again, with the ids that the model has got (as mlflow.models.Model.log does)."""
    from mlflow.models import Model

    description = Model.load(str(folder / file_names.MODEL_DESCRIPTION))
    description.model_id = description.model_uuid = model.model_id
    description.run_id = run.run_id
    description.artifact_path = model.artifact_location
    with tempfile.TemporaryDirectory(prefix="benchbench-") as temporary:
        path = Path(temporary) / file_names.MODEL_DESCRIPTION
        description.save(str(path))
        client.log_model_artifact(model.model_id, str(path))


def _link(client: MlflowClient, run: MlflowRun, model: LoggedModel, record: Record) -> None:
    """Make the model an output of its run, and give it the run's final metrics."""
    from mlflow.entities import LoggedModelOutput, Metric

    step = len(record.epochs)
    outputs = client.get_run(run.run_id).outputs
    if model.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step)])
    if record.final is not None and record.ended_ms is not None:
        metrics = [
            Metric(key, value, record.ended_ms, step, model_id=model.model_id)
            for key, value in logged_final_values(record.final).items()
        ]
        client.log_batch(run.run_id, metrics=metrics)
