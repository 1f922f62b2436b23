"""What ``bench time`` measured, in MLflow: a run for each variant, so that they can be selected and compared.

They are children of one run. None has the tag of an attempt or of a spec, so no other command treats them as
trials.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchbench.records.record import MlflowRun
from benchbench.records.redaction import without_credentials
from benchbench.records.results_file import Point
from benchbench.tracking import run_data
from benchbench.tracking.client import log_in_batches
from benchbench.tracking.reading import as_tracking_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchbench.protocol.timing_messages import Timing
    from benchbench.tracking.store import Store

KIND = "time"
_OF_TRIALS = (run_data.ATTEMPT_TAG, run_data.SPEC_TAG)


@dataclass(frozen=True)
class TimedCall:
    """A timing with what it came to: ``values`` are metrics by variant, ``texts`` are files by their names."""

    timing: Timing
    name: str
    note: str
    values: Mapping[str, Mapping[str, float]]
    texts: Mapping[str, str]


def log_timing(store: Store, call: TimedCall) -> MlflowRun:
    """Write a timing and return the run that stands above its variants.

    Raises :class:`~benchbench.errors.TrackingError` if it cannot be written whole.
    """
    with as_tracking_error(f"cannot write to the tracking store {store.tracking_uri}"):
        run_id = _create(store, call.name, call, {run_data.NOTE_TAG: call.note})
        with _failed_unless_whole(store, run_id):
            for index, name in enumerate(call.timing.job.names):
                _log_variant(store, call, index, name, parent=run_id)
            for name, text in call.texts.items():
                store.client.log_text(run_id, without_credentials(text), name)
            _end(store, run_id, call.timing)
    return MlflowRun(store.tracking_uri, store.experiment_id, run_id)


@contextmanager
def _failed_unless_whole(store: Store, run_id: str) -> Iterator[None]:
    """End a run as failed if it cannot be written whole: no later call would go on with it."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error says more
            store.client.set_terminated(run_id, status="FAILED")
        raise


def _log_variant(store: Store, call: TimedCall, index: int, name: str, *, parent: str) -> None:
    timing, started = call.timing, call.timing.warmed[index].started
    tags = {key: value for key, value in run_data.start_tags(started).items() if key not in _OF_TRIALS} | {
        run_data.NOTE_TAG: f"A variant that was timed: {run_data.description(timing.job.specs[index])}"
    }
    run_id = _create(store, name, call, tags | {run_data.PARENT_TAG: parent})
    measurement = "an epoch" if timing.job.steps is None else f"{timing.job.steps} steps"
    params = run_data.params(timing.job.specs[index]) | {
        "rounds": str(len(timing.rounds)),
        "measurement": measurement,
    }
    with _failed_unless_whole(store, run_id):
        log_in_batches(store.client, run_id, params=params, points=_points(call, index, name))
        _end(store, run_id, timing)


def _points(call: TimedCall, index: int, name: str) -> Iterator[Point]:
    """Yield the measurements of a variant, with the round as step, and what they came to."""
    rounds = call.timing.rounds
    for done in rounds:
        values = asdict(done.measurements[index]) | {
            "other_cpu_fraction": done.other_cpu_fraction,
            "other_gpu_fraction": done.other_gpu_fraction,
            "noisy": done.is_noisy,
        }
        for key, value in values.items():
            if key != "is_finite" and value is not None:
                yield Point(key, float(value), done.number, done.timestamp_ms)
    for key, value in call.values[name].items():
        yield Point(key, value, rounds[-1].number, rounds[-1].timestamp_ms)


def _create(store: Store, name: str, call: TimedCall, tags: Mapping[str, str]) -> str:
    run = store.client.create_run(
        store.experiment_id,
        start_time=call.timing.warmed[0].started.timestamp_ms,
        run_name=run_data.shortened_name(name),
        tags={**tags, run_data.KIND_TAG: KIND},
    )
    run_id: str = run.info.run_id
    return run_id


def _end(store: Store, run_id: str, timing: Timing) -> None:
    status = "KILLED" if timing.is_stopped else "FINISHED"
    store.client.set_terminated(run_id, status=status, end_time=timing.rounds[-1].timestamp_ms)
