"""Sends one journal to its run. What MLflow already has is not sent again, although that would be harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.paths import is_partial
from benchbench.records import file_names
from benchbench.records.events import Started
from benchbench.records.record import MlflowRun, Record
from benchbench.tracking import logged_models, run_data
from benchbench.tracking.client import log_in_batches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from benchbench.records.events import Event
    from benchbench.records.results_file import Point

_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


class Delivery:
    """A run, what MLflow had of it when this object was made, and how many events were sent since."""

    def __init__(self, client: MlflowClient, run: Run, *, tracking_uri: str) -> None:
        self.run = MlflowRun(tracking_uri, run.info.experiment_id, run.info.run_id)
        self._client = client
        self._is_deleted = run.info.lifecycle_stage == "deleted"
        self._status: str = run.info.status
        self._params: dict[str, str] = dict(run.data.params)
        self._tags: dict[str, str] = dict(run.data.tags)
        self._num_inputs = len(run.inputs.dataset_inputs) if run.inputs else 0
        self._num_events = 0
        self._record: Record | None = None

    def send(self, events: list[Event], record: Record, artifacts: Path) -> bool:
        """Send the events that this object has not sent, and after the last of a trial its files and its end.

        Does nothing and returns False if the run was deleted.
        """
        if self._is_deleted:
            return False
        if record.status == "running" and self._status != "RUNNING":
            self._client.update_run(self.run.run_id, status="RUNNING")
            self._send_values({}, {run_data.STATUS_TAG: "running"}, [])
            self._status = "RUNNING"
        new = events[self._num_events :]
        params, tags = self._send_facts(new)
        # First the numbers: a store may have no room for the files, or refuse them.
        self._send_values(params, tags, list(self._points(new)))
        self._num_events = len(events)
        if record.status != "running":
            self._send_files(record, artifacts)
            self._send_values({}, self._end_tags(record), [])
            self._client.set_terminated(self.run.run_id, status=_STATUS[record.status], end_time=record.ended_ms)
        return True

    def _points(self, events: list[Event]) -> Iterator[Point]:
        """Yield the metrics of events; those of an end stand at the epochs that the trial had then."""
        for event in events:
            self._record = Record.of([event]) if self._record is None else self._record.then(event)
            yield from run_data.points(event, last_epoch=len(self._record.epochs))

    def _send_facts(self, events: list[Event]) -> tuple[dict[str, str], dict[str, str]]:
        """Send the dataset inputs, and return the params and tags of what began."""
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        for event in events:
            if isinstance(event, Started):
                params, tags = run_data.params(event.spec), run_data.start_tags(event)
                splits = run_data.inputs(event)
                if len(splits) != self._num_inputs:
                    self._client.log_inputs(self.run.run_id, [run_data.dataset_input(split) for split in splits])
        return params, tags

    def _send_files(self, record: Record, artifacts: Path) -> None:
        model = artifacts / file_names.MODEL_FOLDER
        for path in sorted(artifacts.iterdir()) if artifacts.is_dir() else ():
            if path.is_dir() and path != model:
                self._client.log_artifacts(self.run.run_id, str(path), path.name)
            elif path.is_file() and not is_partial(path):
                self._client.log_artifact(self.run.run_id, str(path))
        if (model / file_names.MODEL_DESCRIPTION).is_file():  # else a worker was killed while it wrote the model
            logged_models.send(self._client, self.run, record, folder=model)

    def _end_tags(self, record: Record) -> dict[str, str]:
        tags = run_data.end_tags(record)
        if self._tags.get(run_data.ERROR_TAG) and run_data.ERROR_TAG not in tags:
            # An earlier end of the trial, after which it was resumed.
            return {run_data.ERROR_TAG: "", run_data.NOTE_TAG: ""} | tags
        return tags

    def _send_values(self, params: dict[str, str], tags: dict[str, str], points: list[Point]) -> None:
        new_params = {key: value for key, value in params.items() if self._params.get(key) != value}
        new_tags = {key: value for key, value in tags.items() if self._tags.get(key) != value}
        log_in_batches(self._client, self.run.run_id, params=new_params, tags=new_tags, points=points)
        self._params |= params
        self._tags |= tags
