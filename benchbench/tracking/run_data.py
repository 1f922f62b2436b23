"""What a trial's events are called in MLflow: params, tags, metrics and dataset inputs, as plain data."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING

from benchbench.config.differences import varying
from benchbench.records import metrics
from benchbench.records.events import EpochFinished, Failed, Finished
from benchbench.records.redaction import without_credentials
from benchbench.records.results_file import Input, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import DatasetInput
    from pydantic import JsonValue

    from benchbench.config.spec import Spec
    from benchbench.records.events import Event, Started
    from benchbench.records.record import Record

ATTEMPT_TAG = "benchbench.attempt"
SPEC_TAG = "benchbench.spec_id"
DATA_TAG = "benchbench.data_digest"
SOURCE_TAG = "benchbench.source."
VERSION_TAG = "benchbench.version."
STATUS_TAG = "benchbench.status"
KIND_TAG = "benchbench.kind"
"""What a run is, for the filters of MLflow's pages: ``trial``, ``grid`` or ``time``."""

ERROR_TAG = "benchbench.error"
NOTE_TAG = "mlflow.note.content"
ORIGIN_TAG = "benchbench.imported_from"
"""The id that an imported run had where it was made, however often it was exported since."""

UNFINISHED_TAG = "benchbench.import"
"""On a run whose import was interrupted; the next import goes on with it."""

PARENT_TAG = "mlflow.parentRunId"
# The limits of MLflow's own store, mlflow/utils/validation.py.
_MAX_NAME_CHARACTERS = 250
_MAX_PARAM_CHARACTERS = 6000
_MAX_TAG_CHARACTERS = 8000
_MAX_DIGEST_CHARACTERS = 36
_IN_EVERY_NAME = ("model", "optimizer", "dataset", "seed")


def keys_of_names(specs: Sequence[Spec]) -> tuple[str, ...]:
    """Return the keys that tell the runs of a grid apart, besides those that are in the name of every run."""
    return tuple(key for key in varying(specs) if key not in _IN_EVERY_NAME)


def run_name(spec: Spec, varied: str = "") -> str:
    """Return a name such as ``alexnet-sgd-tinyimage10-s0 lr=0.01``: what varies in its grid comes last."""
    name = f"{spec.model.name}-{spec.optimizer.name}-{spec.dataset.name}-s{spec.seed}"
    return shortened_name(f"{name} {varied}".strip())


def shortened_name(name: str) -> str:
    """Return as much of a run's name as MLflow takes."""
    return storable(name)[:_MAX_NAME_CHARACTERS]


def storable(text: str) -> str:
    r"""Return a text as it may be kept: without credentials, and with \0 for the null character.

    PostgreSQL refuses a text with that.
    """
    return without_credentials(text).replace("\0", r"\0")


def params(spec: Spec) -> dict[str, str]:
    """Return everything in the spec as texts."""
    return {key: _text(value)[:_MAX_PARAM_CHARACTERS] for key, value in spec.flat().items()}


def start_tags(started: Started) -> dict[str, str]:
    """Return the facts of a trial that are not in its spec: where and with what it runs."""
    machine = started.machine
    tags = {
        KIND_TAG: "trial",
        ATTEMPT_TAG: started.attempt,
        SPEC_TAG: started.spec.id,
        DATA_TAG: started.data.digest,
        "benchbench.host": machine.hostname,
        "benchbench.system": machine.system,
        "benchbench.processor": machine.processor,
        "benchbench.num_cores": str(machine.num_cores),
        "benchbench.memory_bytes": str(machine.memory_bytes),
        "benchbench.device": machine.device,
        "benchbench.device_name": machine.device_name,
        "benchbench.num_threads": str(machine.num_threads),
        "benchbench.num_parameters": str(started.num_parameters),
        "mlflow.user": _user(),
        "mlflow.source.name": "bench",
        "mlflow.source.type": "LOCAL",
    }
    if machine.git_commit:
        tags["mlflow.source.git.commit"] = machine.git_commit
    tags[NOTE_TAG] = description(started.spec)
    tags |= {f"{VERSION_TAG}{name}": version for name, version in machine.versions.items()}
    tags |= {f"benchbench.acceleration.{name}": value for name, value in started.acceleration.items()}
    tags |= {f"benchbench.plugin.{kind}": origin for kind, origin in started.plugin_origins.items()}
    tags |= {f"{SOURCE_TAG}{kind}": digest for kind, digest in started.plugin_sources.items()}
    return {key: _tag(value) for key, value in tags.items()}


def end_tags(record: Record) -> dict[str, str]:
    """Return how a trial ended, and the note that MLflow shows above the run."""
    tags: dict[str, str] = {STATUS_TAG: record.status}
    note = "\n\n".join((description(record.spec), *_result(record), *record.notes))
    if record.error is not None and record.status != "finished":
        tags[ERROR_TAG] = f"{record.error.kind}: {record.error.message}"
        note = f"**{record.status}**: {record.error.message}\n\n{record.error.hint}".rstrip()
        note += f"\n\n{description(record.spec)}"
        if record.error.traceback:
            note += f"\n\n```\n{record.error.traceback}\n```"
    tags[NOTE_TAG] = note
    return {key: _tag(value) for key, value in tags.items()}


def description(spec: Spec) -> str:
    """Return in a sentence what a trial trains."""
    return (
        f"`{spec.model.name}` trained on `{spec.dataset.name}` with `{spec.optimizer.name}` for {spec.epochs} epochs in"
        f" batches of {spec.batch_size}, seed {spec.seed}."
    )


def _result(record: Record) -> tuple[str, ...]:
    final = record.final
    if final is None:
        return ()
    return (f"Accuracy: {final.test_accuracy:.1%} on the test images, {final.val_accuracy:.1%} by validation.",)


def inputs(started: Started) -> list[Input]:
    """Return the splits; the source is where the images came from, not the images."""
    data = started.data
    digests = [split.digest for split in data.splits.values()]
    name = started.spec.dataset.name
    return [
        Input(
            # MLflow keeps one input for each name and digest: equal splits would lose all contexts but one.
            name=name if digests.count(split.digest) == 1 else f"{name}-{context}",
            context=context,
            digest=split.digest[:_MAX_DIGEST_CHARACTERS],
            source=json.dumps({"uri": without_credentials(data.source)}),
            schema=_schema(data.image_shape),
            profile=json.dumps({"num_images": split.num_images, "num_classes": len(data.class_names)}),
        )
        for context, split in data.splits.items()
    ]


def dataset_input(split: Input) -> DatasetInput:
    """Return a split as MLflow takes it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=split.name,
        digest=split.digest,
        source_type="local",
        source=split.source,
        schema=split.schema,
        profile=split.profile,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split.context)])


def points(event: Event, *, last_epoch: int) -> list[Point]:
    """Return the metrics of an event, with its timestamp; the step of what ends a trial is its last epoch."""
    step = last_epoch
    match event:
        case EpochFinished():
            values, step = metrics.epoch_values(event), event.epoch.epoch
        case Finished():
            values = metrics.logged_final_values(event.final) | metrics.time_values(event.times)
        case Failed(times=times) if times is not None:
            values = metrics.time_values(times)
        case _:
            return []
    return [Point(key, float(value), step, event.timestamp_ms) for key, value in values.items()]


def _schema(image_shape: tuple[int, int, int]) -> str:
    """Return the form that mlflow.data.schema.TensorDatasetSchema writes and MLflow's pages read."""
    features, targets = (
        json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}])
        for dtype, shape in (("uint8", [-1, *image_shape]), ("int64", [-1]))
    )
    return json.dumps({"mlflow_tensorspec": {"features": features, "targets": targets}})


def _text(value: JsonValue) -> str:
    """Return a parameter's value as it is written on the command line: 0.001, true, none, text."""
    if value is None:
        return "none"
    return storable(value if isinstance(value, str) else json.dumps(value))


def _tag(value: str) -> str:
    return storable(value)[:_MAX_TAG_CHARACTERS]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id may have no name
        return "unknown"
