"""Reads results files into the store. Existing runs are left as they are, so a second import changes nothing."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchbench.records import file_names
from benchbench.records.metrics import FINAL_TRAIN_LOSS, TEST_ACCURACY, TEST_LOSS, WALL_SECONDS
from benchbench.records.record import MlflowRun
from benchbench.tracking import grid_runs, logged_models, run_data
from benchbench.tracking.client import create_once, log_in_batches
from benchbench.tracking.look_history import LookHistory
from benchbench.tracking.moved_folder import follow_run
from benchbench.tracking.reading import ReadableStore, as_tracking_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow import entities

    from benchbench.records.results_file import Point, Reader
    from benchbench.records.results_file import Run as ExportedRun
    from benchbench.tracking.store import Store

_NAMED = (grid_runs.GRID_TAG, grid_runs.FILE_TAG)
_COMPARED = (FINAL_TRAIN_LOSS, TEST_ACCURACY, TEST_LOSS, WALL_SECONDS)


class Imported(NamedTuple):
    """How many runs came in, how many were there already, and which of them are there with other results."""

    num_new: int
    num_existing: int
    clashes: tuple[str, ...]


def import_runs(reader: Reader, store: Store, *, progress: Callable[[int, int], None]) -> Imported:
    """Take the runs of a results file into the open experiment, parents first.

    A run that was imported before and has gone on since, and a trial that was interrupted here and resumed elsewhere,
    are brought up to date. ``progress`` is told how many runs of how many are done.

    Raises :class:`~benchbench.errors.TrackingError` if not all could be written; importing again goes on from there.
    """
    runs = sorted(reader.manifest.runs, key=lambda run: (bool(run.parent), run.started_ms))
    new_ids: dict[str, str] = {}
    num_new, clashes = 0, []
    with as_tracking_error(f"cannot write to the tracking store {store.tracking_uri}"):
        LookHistory(store.client, store.experiment_id).add_looks(reader.manifest.looks)
        for done, run in enumerate(runs):
            progress(done, len(runs))
            existing, parent = _find(store, run, reader), new_ids.get(run.parent, "")
            if existing is not None:
                _put_below(store, existing, parent)
            if (
                existing is not None
                and run_data.UNFINISHED_TAG not in existing.data.tags
                and not _went_on(run, existing)
            ):
                new_ids[run.run_id] = existing.info.run_id
                clashes += _clashes(run, reader.metrics(run.run_id), existing)
                continue
            target = _begin(store, existing) if existing else _create(store, run, reader, parent)
            new_ids[run.run_id] = target.info.run_id
            _fill(store, target, run, reader)
            num_new += 1
    return Imported(num_new, len(runs) - num_new, tuple(clashes))


def _origin(run: ExportedRun) -> str:
    return run.tags.get(run_data.ORIGIN_TAG, run.run_id)


def _find(store: Store, run: ExportedRun, reader: Reader) -> entities.Run | None:
    """Return the run if it is in the store: a trial by its attempt, others by their origin, and a grid that is equal.

    A grid may have run on several machines, each with a part of its trials.
    """
    if attempt := run.tags.get(run_data.ATTEMPT_TAG):
        queries = [f"tags.`{run_data.ATTEMPT_TAG}` = '{grid_runs.searchable(attempt)}'"]
    else:
        origin = grid_runs.searchable(_origin(run))
        queries = [f"tags.`{run_data.ORIGIN_TAG}` = '{origin}'", f"attributes.run_id = '{origin}'"]
    for query in queries:
        for existing in store.client.search_runs([store.experiment_id], query):
            return existing
    return _find_equal_grid(store, run, reader) if grid_runs.GRID_TAG in run.tags else None


def _find_equal_grid(store: Store, run: ExportedRun, reader: Reader) -> entities.Run | None:
    """Return the run of a grid of the same name and design, whose file says the same; those of two folders are two."""
    text = reader.text(run.run_id, file_names.GRID)
    if text is None:
        return None
    readable = ReadableStore(store.client, store.tracking_uri)
    named = [f"tags.`{tag}` = '{grid_runs.searchable(run.tags.get(tag, ''))}'" for tag in _NAMED]
    for existing in store.client.search_runs([store.experiment_id], " and ".join(named)):
        folders, designs = (
            {tags.get(tag) for tags in (run.tags, existing.data.tags)}
            for tag in (grid_runs.FOLDER_TAG, grid_runs.DESIGN_TAG)
        )
        if len(folders - {None}) <= 1 and len(designs) == 1 and text == grid_runs.grid_text(readable, existing):
            return existing
    return None


def _put_below(store: Store, existing: entities.Run, parent: str) -> None:
    """Put a run below its grid if it was imported before the grid had ended, and so before the grid's own run."""
    if parent and run_data.ORIGIN_TAG in existing.data.tags and run_data.PARENT_TAG not in existing.data.tags:
        store.client.set_tag(existing.info.run_id, run_data.PARENT_TAG, parent)


def _went_on(run: ExportedRun, existing: entities.Run) -> bool:
    """Tell whether a run ended later elsewhere: where it was imported from, or where an interrupted trial went on."""
    tags = existing.data.tags
    if grid_runs.CONTINUED_TAG in tags:  # a grid that is ours since
        return False
    was_interrupted = run_data.ATTEMPT_TAG in run.tags and tags.get(run_data.STATUS_TAG) in ("failed", "killed")
    is_same = was_interrupted or tags.get(run_data.ORIGIN_TAG) == _origin(run)
    return is_same and (run.ended_ms or 0) > (existing.info.end_time or 0)


def _clashes(run: ExportedRun, points: tuple[Point, ...], existing: entities.Run) -> list[str]:
    """Return what a run that is there says otherwise, if anything."""
    if run_data.ATTEMPT_TAG not in run.tags or _is_earlier(run, existing):
        return []
    # The latest is what MLflow takes for the value of a metric; a trial that was resumed has two wall clocks.
    last = {point.key: point.value for point in sorted(points, key=lambda point: (point.step, point.timestamp_ms))}
    facts = [
        tag for tag in (run_data.SPEC_TAG, run_data.DATA_TAG) if run.tags.get(tag) != existing.data.tags.get(tag)
    ] + [key for key in _COMPARED if key in last and not _is_equal(last[key], existing.data.metrics.get(key))]
    if not facts:
        return []
    return [f"the trial {run.tags[run_data.ATTEMPT_TAG]} is here with another {facts[0]}: it is left as it is"]


def _is_earlier(run: ExportedRun, existing: entities.Run) -> bool:
    """Tell whether a trial was exported when it was interrupted, before it went on to what is there."""
    was_interrupted = run.tags.get(run_data.STATUS_TAG) != "finished"
    return was_interrupted and (run.ended_ms or 0) < (existing.info.end_time or 0)


def _is_equal(value: float, stored: float | None) -> bool:
    return value == stored or (stored is not None and math.isnan(value) and math.isnan(stored))


def _begin(store: Store, existing: entities.Run) -> entities.Run:
    follow_run(store.tracking_uri, existing)
    store.client.set_tag(existing.info.run_id, run_data.UNFINISHED_TAG, "unfinished")
    return existing


def _create(store: Store, run: ExportedRun, reader: Reader, parent: str) -> entities.Run:
    """Make the run. No grid and no comparison takes it for a finished trial until all of it is there."""
    tags = {key: value for key, value in run.tags.items() if key != run_data.STATUS_TAG}
    tags |= {run_data.ORIGIN_TAG: _origin(run), run_data.UNFINISHED_TAG: "unfinished"}
    if parent:
        tags[run_data.PARENT_TAG] = parent
    return create_once(
        lambda: store.client.create_run(store.experiment_id, start_time=run.started_ms, run_name=run.name, tags=tags),
        lambda: _find(store, run, reader),
    )


def _fill(store: Store, target: entities.Run, run: ExportedRun, reader: Reader) -> None:
    """Send everything of a run. It may have been sent in part before: nothing arrives twice."""
    client, run_id = store.client, target.info.run_id
    log_in_batches(client, run_id, params=run.params, points=reader.metrics(run.run_id))
    if run.inputs and not (target.inputs and target.inputs.dataset_inputs):
        client.log_inputs(run_id, [run_data.dataset_input(given) for given in run.inputs])
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        _send_files(store, run_id, run, reader, Path(folder))
    existing_tags = target.data.tags
    tags = {
        key: value for key, value in run.tags.items() if key != run_data.ORIGIN_TAG and existing_tags.get(key) != value
    }
    log_in_batches(client, run_id, tags=tags)
    client.set_terminated(run_id, status=run.status, end_time=run.ended_ms)
    client.delete_tag(run_id, run_data.UNFINISHED_TAG)


def _send_files(store: Store, run_id: str, run: ExportedRun, reader: Reader, folder: Path) -> None:
    artifacts = reader.unpack(run.run_id, "artifacts", folder / "artifacts")
    if artifacts is not None:
        store.client.log_artifacts(run_id, str(artifacts))
    model = reader.unpack(run.run_id, "model", folder / "model")
    record = reader.record(run.run_id)
    if model is not None and record is not None:
        address = MlflowRun(store.tracking_uri, store.experiment_id, run_id)
        logged_models.send(store.client, address, record, folder=model)
