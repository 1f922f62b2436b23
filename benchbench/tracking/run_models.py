"""The models of runs, found and fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import SpecError, TrackingError
from benchbench.records import file_names
from benchbench.records.run_ids import only_match, short_id
from benchbench.tracking import run_data
from benchbench.tracking.experiments import find_experiment
from benchbench.tracking.moved_folder import current_address, local_path
from benchbench.tracking.reading import reading, search
from benchbench.tracking.stored_records import mlflow_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import LoggedModelOutput, Run

    from benchbench.records.record import MlflowRun
    from benchbench.tracking.reading import ReadableStore

_RUN_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class RunModel:
    """The model of a run, in ``folder``, an MLflow model folder."""

    run_id: str
    run_name: str
    folder: Path


def fetch_model(name: str, experiment: str, folder: Path, *, trust: bool) -> RunModel:
    """Return the model of a run; a store elsewhere has it copied to ``folder``.

    ``name`` is the id of a run or the beginning of one, or its name. Raises :class:`~benchbench.errors.SpecError` if
    that means no run or several, or one without a model, and without ``trust`` for one that was imported: torch loads
    graphs with pickle.
    """
    with reading() as store:
        run = _find_run(store, name, experiment)
        if run_data.ORIGIN_TAG in run.data.tags and not trust:
            raise SpecError(
                f"the model of run {run.info.run_name} came with a results file, and loading a model can run any code",
                hint="--trust loads it, if you trust whoever made the file",
            )
        return RunModel(run.info.run_id, run.info.run_name, _fetch(store, run, folder))


def _find_run(store: ReadableStore, name: str, experiment: str) -> Run:
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    if _RUN_ID.fullmatch(name):
        try:
            return store.client.get_run(name)
        except MlflowException:
            raise SpecError(
                f"no run has the id {name}", hint="see `bench runs list`, or all runs in mlflow ui"
            ) from None
    experiment_id = find_experiment(store.client, store.tracking_uri, experiment).experiment_id
    runs = {
        mlflow_run(store, run): run
        for run in search(store.client, experiment_id, "", ViewType.ACTIVE_ONLY)
        if run_data.ATTEMPT_TAG in run.data.tags
    }
    return runs[only_match(name, list(runs), experiment=experiment, remark=lambda one: _remark(store, runs[one]))]


def keeps_model(run: MlflowRun) -> bool:
    """Tell whether a run keeps a model; an unreadable store has none to offer."""
    try:
        with reading() as store:
            return _has_model(store, store.client.get_run(run.run_id))
    except TrackingError:
        return False


def _remark(store: ReadableStore, run: Run) -> str:
    return " (keeps a model)" if _has_model(store, run) else ""


def _has_model(store: ReadableStore, run: Run) -> bool:
    return bool(_models(run)) or _has_model_folder(store, run)


def _models(run: Run) -> Sequence[LoggedModelOutput]:
    return run.outputs.model_outputs if run.outputs else []


def _has_model_folder(store: ReadableStore, run: Run) -> bool:
    """Tell whether a model is among the files of a run, where a server before MLflow 3 keeps it."""
    return any(file.path == file_names.MODEL_FOLDER for file in store.client.list_artifacts(run.info.run_id))


def _fetch(store: ReadableStore, run: Run, folder: Path) -> Path:
    from mlflow import artifacts
    from mlflow.exceptions import MlflowException

    outputs = _models(run)
    client, run_id = store.client, run.info.run_id
    if not outputs and _has_model_folder(store, run):
        return _checked(Path(client.download_artifacts(run_id, file_names.MODEL_FOLDER, str(folder))), run)
    if not outputs:
        raise SpecError(
            f"the run {run.info.run_name} ({short_id(run.info.run_id)}) keeps no model",
            hint="bench run keeps one unless --artifacts says otherwise, and bench grid that of its best trial",
        )
    try:
        model = store.client.get_logged_model(outputs[-1].model_id)
        address = current_address(model.artifact_location, store.tracking_uri, depth=3)
        here = local_path(address)
        if here is not None and not here.exists():
            raise _deleted(run)
        # MLflow copies what it is given a folder for, and a store on this machine has the files already.
        target = None if here else str(folder / "model")
        path = Path(
            artifacts.download_artifacts(artifact_uri=address, dst_path=target, tracking_uri=store.client.tracking_uri)
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _deleted(run) from error
    return _checked(path, run)


def _checked(path: Path, run: Run) -> Path:
    """Return the folder of a model; raises :class:`SpecError` if it does not say how it takes images."""
    if not (path / "data" / file_names.CLASSIFIER).exists():
        raise SpecError(
            f"the model of run {run.info.run_name} was saved by a benchbench that kept no preprocessing with it",
            hint="train it again, or load it with mlflow.pytorch and preprocess the images yourself",
        )
    return path


def _deleted(run: Run) -> SpecError:
    return SpecError(f"the model of run {run.info.run_name} was deleted", hint="train it again")
