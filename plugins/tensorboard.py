"""Writes trials for TensorBoard if ``BENCH_TENSORBOARD`` names a folder, and nothing otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import benchbench as bb
from benchbench import variables
from benchbench.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from benchbench.records.journal import Journal

SUFFIX = ".benchbench"
"""What the names of our event files end with, so that no other is ever replaced."""

TAGS = {
    "train_acc": "train_accuracy",
    "train_loss": "train_loss",
    "val_acc": "val_accuracy",
    "val_loss": "val_loss",
}
"""The tags of the paper, and what an epoch calls the same."""


@dataclass
class _EventFile:
    """The event file of a trial, and how many epochs are in it."""

    writer: Any
    num_epochs: int = 0

    def has_epoch_of(self, event: bb.Event) -> bool:
        """Tell whether an epoch of this number is in it, or a later one."""
        return event.event == "epoch_finished" and event.epoch.epoch <= self.num_epochs


_files: dict[str, _EventFile] = {}
"""The event files of the trials that run, by attempt."""


@bb.hookimpl
def benchbench_event(event: bb.Event, record: bb.Record) -> None:
    """Write the event; the first one of a trial that this process hears brings all before it."""
    folder = os.environ.get(variables.TENSORBOARD)
    if not folder:
        return
    from benchbench.records.journal import Journal

    journal = Journal.of(record.spec_id, record.attempt)
    events = [event]
    if record.attempt not in _files or _files[record.attempt].has_epoch_of(event):
        # A trial that is resumed is written anew from its journal: no step is missing, none is there twice.
        events = _as_recorded(journal.events())
        _begin(record.attempt, expanded(folder) / _folder_name(record))
    file = _files[record.attempt]
    for earlier in events:
        for step, summary in _summaries(earlier, record):
            _add(file.writer, earlier, step, summary)
    file.num_epochs = len(record.epochs)
    if record.status == "running":
        file.writer.flush()
        return
    for step, summary in (*_figures(journal, record), (0, _session_end(record))):
        _add(file.writer, event, step, summary)
    _files.pop(record.attempt).writer.close()


def _as_recorded(events: Iterable[bb.Event]) -> list[bb.Event]:
    """Return the events without the epochs that later ones replaced, as in the record."""
    kept: list[bb.Event] = []
    for event in events:
        if event.event == "epoch_finished":
            number = event.epoch.epoch
            kept = [each for each in kept if each.event != "epoch_finished" or each.epoch.epoch < number]
        kept.append(event)
    return kept


def _begin(attempt: str, folder: Path) -> None:
    """Begin the event file of a trial, in place of those that it has."""
    before = _files.pop(attempt, None)
    if before is not None:
        before.writer.close()
    _files[attempt] = _EventFile(_fresh_writer(folder))


def _fresh_writer(folder: Path) -> Any:
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        from benchbench.errors import PluginError

        raise PluginError(
            "BENCH_TENSORBOARD is set, but the package tensorboard is not installed",
            hint="pip install -e '.[tensorboard]' in the clone of benchbench",
        ) from None
    for path in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
        path.unlink()
    return EventFileWriter(str(folder), filename_suffix=SUFFIX)


def _folder_name(record: bb.Record) -> str:
    """Return such as ``alexnet-sgd-tinyimage10-s0-20260101-120000-0a1b2c3d``."""
    from benchbench.tracking.run_data import run_name

    return f"{run_name(record.spec)}-{record.attempt}"


def _add(writer: Any, event: bb.Event, step: int, summary: Any) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    writer.add_event(Event(wall_time=event.timestamp_ms / 1000, step=step, summary=summary))


def _summaries(event: bb.Event, record: bb.Record) -> Iterator[tuple[int, Any]]:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    match event.event:
        case "started":
            yield 0, hparams_pb(_hparams(record), record.attempt, start_time_secs=event.timestamp_ms / 1000)
        case "epoch_finished":
            for tag, name in TAGS.items():
                yield event.epoch.epoch, _scalar(tag, getattr(event.epoch, name))
        case "finished":
            yield len(record.epochs), _scalar("test_acc", event.final.test_accuracy)
            yield len(record.epochs), _scalar("test_loss", event.final.test_loss)


def _scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value)])


def _hparams(record: bb.Record) -> dict[str, bool | float | str]:
    """Return all that is in the spec; what is not a number, a boolean or a text is written as text."""
    from benchbench.config.values import value_text

    return {
        key: value if isinstance(value, bool | int | float | str) else value_text(value)
        for key, value in record.spec.flat().items()
    }


def _figures(journal: Journal, record: bb.Record) -> Iterator[tuple[int, Any]]:
    """Yield the figures that the trial has when it ends."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    for path in sorted((journal.artifacts / "figures").glob("*.png")):
        with Image.open(path) as image:
            width, height = image.size
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=path.read_bytes())
        yield len(record.epochs), Summary(value=[Summary.Value(tag=path.stem, image=image)])


def _session_end(record: bb.Record) -> Any:
    """Return how the trial ended, for the page of hyperparameters."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if record.status == "finished" else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=(record.ended_ms or 0) / 1000)
    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
