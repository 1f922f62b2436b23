"""One journal on its way to its run: what MLflow has is not sent again, and sending it again would do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.record import MlflowRun, Started
from benchbench.tracker import content, models

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

    from benchbench.record import Event, Record

_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
# The limits of MLflow's own store, mlflow/utils/validation.py.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100


class Delivery:
    """Knows what its run had when it was found or made, and how many events were sent since."""

    def __init__(self, client: MlflowClient, run: Run, *, tracking_uri: str) -> None:
        self.run = MlflowRun(tracking_uri, run.info.experiment_id, run.info.run_id)
        self._client = client
        self._is_deleted = run.info.lifecycle_stage == "deleted"
        self._status: str = run.info.status
        self._params: dict[str, str] = dict(run.data.params)
        self._tags: dict[str, str] = dict(run.data.tags)
        self._num_inputs = len(run.inputs.dataset_inputs) if run.inputs else 0
        self._num_events = 0

    def send(self, events: list[Event], record: Record, artifacts: Path) -> None:
        """Send the events that this object has not sent, and after the last of a trial its files and its end."""
        if self._is_deleted:
            return
        if record.status == "running" and self._status != "RUNNING":
            self._client.update_run(self.run.run_id, status="RUNNING")
            self._send_tags({content.STATUS_TAG: "running"})
            self._status = "RUNNING"
        new = events[self._num_events :]
        params: dict[str, str] = {}
        for event in new:
            if isinstance(event, Started):
                self._send_facts(event)
                params = content.params(event.spec)
        self._send_numbers(
            params, [point for event in new for point in content.points(event, last_epoch=len(record.epochs))]
        )
        if record.status != "running":
            self._send_end(record, artifacts)
        self._num_events = len(events)

    def _send_facts(self, started: Started) -> None:
        self._send_tags(content.start_tags(started))
        splits = content.inputs(started)
        if len(splits) != self._num_inputs:
            self._client.log_inputs(self.run.run_id, [_dataset_input(split) for split in splits])

    def _send_numbers(self, params: dict[str, str], points: list[content.Point]) -> None:
        """Send both in as few calls as MLflow allows: each is a transaction of 20 ms."""
        from mlflow.entities import Metric, Param  # noqa: PLC0415 - imported with the store

        new = [Param(key, value) for key, value in params.items() if self._params.get(key) != value]
        metrics = [Metric(point.key, point.value, point.timestamp_ms, point.step) for point in points]
        while new or metrics:
            self._client.log_batch(
                self.run.run_id,
                params=new[:_PARAMS_PER_BATCH],
                metrics=metrics[: _METRICS_PER_BATCH - _PARAMS_PER_BATCH],
            )
            new, metrics = new[_PARAMS_PER_BATCH:], metrics[_METRICS_PER_BATCH - _PARAMS_PER_BATCH :]
        self._params |= params

    def _send_end(self, record: Record, artifacts: Path) -> None:
        """Send the files first: a run that has ended is complete."""
        if (artifacts / models.FOLDER).is_dir():
            for path in artifacts.iterdir():
                if path.is_dir() and path.name != models.FOLDER:
                    self._client.log_artifacts(self.run.run_id, str(path), path.name)
                elif path.is_file():
                    self._client.log_artifact(self.run.run_id, str(path))
        elif artifacts.is_dir():
            self._client.log_artifacts(self.run.run_id, str(artifacts))
        if (artifacts / models.FOLDER).is_dir():
            models.send(self._client, self.run, record, folder=artifacts / models.FOLDER)
        tags = content.end_tags(record)
        if self._tags.get(content.ERROR_TAG) and content.ERROR_TAG not in tags:
            # An earlier end of the trial, after which it was taken up.
            tags = {content.ERROR_TAG: "", content.NOTE_TAG: ""} | tags
        self._send_tags(tags)
        self._client.set_terminated(self.run.run_id, status=_STATUS[record.status], end_time=record.ended_ms)

    def _send_tags(self, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415 - imported with the store

        new = [RunTag(key, value) for key, value in tags.items() if self._tags.get(key) != value]
        for start in range(0, len(new), _PARAMS_PER_BATCH):
            self._client.log_batch(self.run.run_id, tags=new[start : start + _PARAMS_PER_BATCH])
        self._tags |= tags


def _dataset_input(split: content.Input) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - imported with the store

    dataset = Dataset(
        name=split.name,
        digest=split.digest,
        source_type="local",
        source=split.source,
        schema=split.schema,
        profile=split.profile,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split.context)])
