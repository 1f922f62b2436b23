"""Experiments: found or made, checked before any training, and known again under another name."""

from __future__ import annotations

import os
import shlex
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchbench.errors import TrackingError, closest, first_line
from benchbench.records import sqlite_addresses
from benchbench.records.redaction import without_credentials
from benchbench.records.sqlite_addresses import sqlite_path
from benchbench.records.state import read_state, state_folder, write_state
from benchbench.tracking.moved_folder import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# Without this tag MLflow's pages ask first whether the experiment is about GenAI.
_TAGS = {"mlflow.experimentKind": "custom_model_development"}
_PROBE_TAG = "benchbench.probe"
_NAMED = 5


class _Remembered(NamedTuple):
    """What identifies an experiment. An id alone does not: a store that is created again uses the same ids again."""

    id: str
    created_ms: int | None


_Names = dict[str, dict[str, _Remembered]]
"""Experiments by the address of their store and the name under which we used them."""


def open_experiment(client: MlflowClient, uri: str, name: str) -> Experiment:
    """Return an experiment that can be written to; it is made if there is none of that name.

    Raises :class:`TrackingError` if it cannot be used, and if the experiment that had this name was renamed, whether or
    not another has the name now.
    """
    known = _refuse_renamed(client, uri, name)
    experiment = known or client.get_experiment_by_name(name) or _make(client, uri, name)
    check_experiment(client, uri, experiment)
    _remember(uri, name, experiment)
    return experiment


def find_experiment(client: MlflowClient, uri: str, name: str) -> Experiment:
    """Return an experiment; raises :class:`TrackingError` with a hint if there is none of that name."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        _refuse_renamed(client, uri, name)
        names = [experiment.name for experiment in client.search_experiments()]
        hint = closest(name, names) or f"experiments: {', '.join(names[:_NAMED])}"
        raise TrackingError(f"no experiment named {name!r}", hint=hint)
    _check_not_deleted(experiment)
    return experiment


def same_experiment(client: MlflowClient, uri: str, name: str) -> Experiment:
    """Return the experiment that had a name when we last used it, whatever it is called now; made if it is gone."""
    experiment = renamed(client, uri, name) or client.get_experiment_by_name(name) or _make(client, uri, name)
    _check_not_deleted(experiment)
    return experiment


def renamed(client: MlflowClient, uri: str, name: str) -> Experiment | None:
    """Return the experiment that had a name when we last used it, or None if it is not there any more."""
    from mlflow.exceptions import MlflowException

    remembered = _remembered(uri, name)
    if remembered is None:
        return None
    try:
        experiment = client.get_experiment(remembered.id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # else results would go to an experiment that has the name now
        return None
    is_same = experiment.creation_time == remembered.created_ms and experiment.lifecycle_stage == "active"
    return experiment if is_same else None


def remembered_id(uri: str, name: str) -> str | None:
    """Return the id of the experiment that had a name when we last used it; MLflow is not asked."""
    remembered = _remembered(uri, name)
    return remembered.id if remembered else None


def check_experiment(client: MlflowClient, uri: str, experiment: Experiment) -> None:
    """Raise :class:`TrackingError` if runs cannot be written to an experiment."""
    name, folder = experiment.name, experiment.artifact_location
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the experiment {name!r} is deleted",
            hint=f"{_restore_hint(experiment)}, choose another with --experiment NAME",
        )
    if experiment.experiment_id == "0":
        raise TrackingError(
            f"the experiment {name!r} is MLflow's default, whose files may not be accessible",
            hint="choose another with --experiment NAME",
        )
    check_files(uri, experiment)
    if sqlite_path(uri) is None:
        _probe(client, uri, experiment)
    elif folder.startswith("mlflow-artifacts:"):
        raise TrackingError(
            f"the experiment {name!r} was made through a tracking server, and only that can store files in it",
            hint="set MLFLOW_TRACKING_URI to the server's address, or choose another with --experiment NAME",
        )


def check_files(uri: str, experiment: Experiment) -> None:
    """Raise :class:`TrackingError` if an experiment keeps its files in a folder of another machine.

    MLflow would make a folder of that name here, where nobody else looks for them. A new experiment has no folder yet.
    """
    folder = local_path(experiment.artifact_location)
    if folder is None or sqlite_path(uri) or any(map(os.path.isdir, (folder, *folder.parents[:2]))):
        return
    raise TrackingError(
        f"the experiment {experiment.name!r} keeps its files in {folder}, a folder that this machine does not have",
        hint="choose another with --experiment NAME, or run this on the machine that has the folder",
    )


def _probe(client: MlflowClient, uri: str, experiment: Experiment) -> None:
    """Write a tag and delete it: a user who may only read would learn of it at the end of the first epoch."""
    try:
        client.set_experiment_tag(experiment.experiment_id, _PROBE_TAG, "1")
    except Exception as error:  # of MLflow, requests or a database, whatever they make of it
        reason = without_credentials(first_line(error))
        raise TrackingError(
            f"the experiment {experiment.name!r} on {without_credentials(uri)} cannot be written to: {reason}",
            hint="ask for the permission to edit it, or choose another with --experiment NAME",
        ) from error
    with suppress(Exception):  # an old server cannot delete it, and another call may have done so
        client.delete_experiment_tag(experiment.experiment_id, _PROBE_TAG)


def _make(client: MlflowClient, uri: str, name: str) -> Experiment:
    from mlflow.exceptions import MlflowException

    try:
        client.create_experiment(name, artifact_location=_artifact_location(uri), tags=_TAGS)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise TrackingError(f"the experiment {name!r} was made but cannot be found", hint="try again")
    return experiment


def _artifact_location(uri: str) -> str | None:
    """Return where an experiment keeps its files if MLflow's own choice would be wrong.

    MLflow takes ``mlruns/`` in the working folder, wherever the database is, and its path for one that is quoted, as in
    a URL.
    """
    if uri.startswith(("http://", "https://")):
        return None
    database = sqlite_addresses.sqlite_path(uri)
    folder = database.resolve().parent if database else Path.cwd()
    if folder == Path.cwd() and "%" not in str(folder):
        return None
    return sqlite_addresses.quoted(folder / "mlruns" / uuid.uuid4().hex[:8])


def _refuse_renamed(client: MlflowClient, uri: str, name: str) -> Experiment | None:
    """Return the experiment that had this name when we last used it and still has it; raises if it was renamed."""
    experiment = renamed(client, uri, name)
    if experiment is not None and experiment.name != name:
        raise TrackingError(
            f"the experiment {name!r} was renamed in MLflow: it is called {experiment.name!r} now",
            hint=f"--experiment {shlex.quote(experiment.name)} continues it, --experiment OTHER-NAME starts another",
        )
    return experiment


def _remember(uri: str, name: str, experiment: Experiment) -> None:
    names = _names()
    ours = names.setdefault(sqlite_addresses.to_state(without_credentials(uri)), {})
    remembered = _Remembered(experiment.experiment_id, experiment.creation_time)
    if ours.get(name) != remembered:
        ours[name] = remembered
        write_state(state_folder() / "experiments.json", names)


def _remembered(uri: str, name: str) -> _Remembered | None:
    return _names().get(sqlite_addresses.to_state(without_credentials(uri)), {}).get(name)


def _names() -> _Names:
    return read_state(state_folder() / "experiments.json", _Names) or {}


def _check_not_deleted(experiment: Experiment) -> None:
    if experiment.lifecycle_stage == "deleted":
        raise TrackingError(f"the experiment {experiment.name!r} is deleted", hint=_restore_hint(experiment))


def _restore_hint(experiment: Experiment) -> str:
    return f"`mlflow experiments restore -x {experiment.experiment_id}` brings it back"
