"""Runs of an experiment, written into a results file that can be taken elsewhere."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from benchbench.errors import SpecError, TrackingError, counted
from benchbench.paths import NO_ROOM, replacing
from benchbench.records import file_names, results_file
from benchbench.records.artifact_files import kept_at
from benchbench.records.redaction import has_paths, without_credentials, without_paths
from benchbench.records.run_ids import only_match
from benchbench.tracking import grid_runs, run_data, timing_runs
from benchbench.tracking.experiments import check_files, find_experiment
from benchbench.tracking.logged_models import find_logged_model
from benchbench.tracking.look_history import LookHistory, Looks
from benchbench.tracking.moved_folder import current_address
from benchbench.tracking.reading import reading, search
from benchbench.tracking.stored_records import mlflow_run, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mlflow import entities

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.tracking.reading import ReadableStore

_ENDED = ("FINISHED", "FAILED", "KILLED")
_DIGITS = 12
_LEFT_OUT = ("mlflow.source.git.", "mlflow.runName", run_data.PARENT_TAG, grid_runs.CONTINUED_TAG)


class Exported(NamedTuple):
    """How many runs of each kind were written, and what a user should know about them."""

    num_trials: int
    num_grids: int
    num_timings: int
    notes: tuple[str, ...]


def export_runs(
    experiment: str,
    path: Path,
    *,
    named: Collection[str] = (),
    level: ArtifactLevel = "light",
    progress: Callable[[int, int], None],
) -> Exported:
    """Write the trials, grids and timings of an experiment into a results file.

    ``progress`` is told how many runs of how many are written.

    If some are named, by the beginning of their ids or by their names, only those runs are written, with the grids
    above and the trials below them. Runs that are still running are left out. Raises
    :class:`~benchbench.errors.TrackingError` if the store cannot be read or has no run, and
    :class:`~benchbench.errors.SpecError` if it has no such run or there is no room for the file, and writes nothing
    then.
    """
    with reading() as store:
        from mlflow.entities import ViewType

        mlflow_experiment = find_experiment(store.client, store.tracking_uri, experiment)
        every_run = search(store.client, mlflow_experiment.experiment_id, "", ViewType.ACTIVE_ONLY)
        runs = [run for run in every_run if _is_ours(run)]
        chosen = runs
        if named:
            addresses = [mlflow_run(store, run) for run in runs]
            chosen = _chosen(runs, {only_match(word, addresses, experiment=experiment).run_id for word in named})
        ended = [run for run in chosen if run.info.status in _ENDED]
        if not ended:
            raise TrackingError(
                f"the experiment {experiment!r} has no run to export", hint="`bench runs list` shows what there is"
            )
        num_without_record = 0
        with _archive(path) as archive:
            writer = results_file.Writer(archive)
            for done, run in enumerate(ended):
                progress(done, len(ended))
                num_without_record += not _write_run(store, run, writer, level)
            if num_without_record == sum(run_data.ATTEMPT_TAG in run.data.tags for run in ended):
                check_files(store.tracking_uri, mlflow_experiment)
            # Looks at trials that stay here would make others look as if they had been looked at.
            looks = {} if named else LookHistory(store.client, mlflow_experiment.experiment_id).all_looks()
            writer.manifest(_manifest(experiment, ended, looks))
    return _summary(ended, num_running=len(chosen) - len(ended), num_without_record=num_without_record)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Give an archive to write to, which is at ``path`` once it is whole."""
    try:
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            yield archive
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise SpecError(
            f"{path} cannot be written: {error.strerror}", hint="free some space, or name another file with -o"
        ) from error


def _is_ours(run: entities.Run) -> bool:
    return not {run_data.ATTEMPT_TAG, run_data.KIND_TAG, grid_runs.GRID_TAG}.isdisjoint(run.data.tags)


def _chosen(runs: list[entities.Run], run_ids: set[str]) -> list[entities.Run]:
    """Return the runs that have these ids, with all that belong to them."""
    parents = {run.data.tags.get(run_data.PARENT_TAG, "") for run in runs if run.info.run_id in run_ids}
    return [
        run
        for run in runs
        if run.info.run_id in run_ids | parents or run.data.tags.get(run_data.PARENT_TAG, "") in run_ids
    ]


def _manifest(experiment: str, runs: Collection[entities.Run], looks: dict[str, Looks]) -> results_file.Manifest:
    exported = {run.info.run_id for run in runs}
    return results_file.Manifest(
        benchbench=importlib.metadata.version("benchbench"),
        experiment=experiment,
        runs=tuple(_described(run, exported) for run in runs),
        looks=looks,
    )


def _described(run: entities.Run, exported: set[str]) -> results_file.Run:
    parent = run.data.tags.get(run_data.PARENT_TAG, "")
    tags = {
        key: without_paths(without_credentials(value))
        for key, value in run.data.tags.items()
        if not key.startswith(_LEFT_OUT)
    }
    file = run.data.tags.get(grid_runs.FILE_TAG, "")
    if Path(file).is_absolute():
        # Grids with the same name in different folders stay different, although the folders are left out.
        tags[grid_runs.FILE_TAG] = f"{hashlib.sha256(file.encode()).hexdigest()[:_DIGITS]}/{Path(file).name}"
    return results_file.Run(
        run_id=run.info.run_id,
        name=without_credentials(run.info.run_name),
        status=run.info.status,
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        parent=parent if parent in exported else "",
        params=dict(run.data.params),
        tags=tags,
        inputs=tuple(_input(given) for given in run.inputs.dataset_inputs) if run.inputs else (),
    )


def _input(given: entities.DatasetInput) -> results_file.Input:
    split = given.dataset
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
    source = without_paths(without_credentials(split.source))
    return results_file.Input(split.name, context, split.digest, source, split.schema or "", split.profile or "")


def _write_run(store: ReadableStore, run: entities.Run, writer: results_file.Writer, level: ArtifactLevel) -> bool:
    """Write a run; return False for a trial without a record, which no comparison can use."""
    run_id = run.info.run_id
    points = [
        results_file.Point(metric.key, metric.value, metric.step, metric.timestamp)
        for key in sorted(run.data.metrics)
        for metric in store.client.get_metric_history(run_id, key)
    ]
    writer.metrics(run_id, tuple(points))
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        _write_artifacts(store, run, writer, level, Path(folder))
        has_record = run_data.ATTEMPT_TAG not in run.data.tags or _write_record(store, run, writer, Path(folder))
        if file_names.MODEL_FOLDER in kept_at(level):
            _write_model(store, run, writer, Path(folder))
    return has_record


def _write_artifacts(
    store: ReadableStore, run: entities.Run, writer: results_file.Writer, level: ArtifactLevel, folder: Path
) -> None:
    """Write the artifacts that ``level`` includes, except the record."""
    from mlflow import artifacts

    root = current_address(run.info.artifact_uri, store.tracking_uri)
    items = artifacts.list_artifacts(artifact_uri=root, tracking_uri=store.client.tracking_uri)
    kept_names = {PurePosixPath(item.path).name for item in items}
    travelling = kept_names if level == "full" else kept_names & kept_at(level)
    # A report has paths of this machine in it, and can be written anew from what travels.
    for item in sorted(travelling - {file_names.REPORT, file_names.RECORD}):
        got = Path(
            artifacts.download_artifacts(
                artifact_uri=f"{root}/{item}", dst_path=str(folder), tracking_uri=store.client.tracking_uri
            )
        )
        for path in sorted(got.rglob("*")) if got.is_dir() else [got]:
            if path.is_file():
                name = path.relative_to(got.parent).as_posix()
                writer.artifact(run.info.run_id, name, path)


def _write_record(store: ReadableStore, run: entities.Run, writer: results_file.Writer, folder: Path) -> bool:
    """Write the record of a run, and return whether it has one."""
    record = record_of(store, run)
    if record is not None:
        path = folder / file_names.RECORD
        path.write_text(replace(record, mlflow=None).to_json() + "\n", encoding="utf-8")
        writer.artifact(run.info.run_id, file_names.RECORD, path)
    return record is not None


def _write_model(store: ReadableStore, run: entities.Run, writer: results_file.Writer, folder: Path) -> None:
    from mlflow import artifacts

    attempt = run.data.tags.get(run_data.ATTEMPT_TAG)
    model = find_logged_model(store.client, run.info.experiment_id, attempt) if attempt else None
    if model is not None:
        got = artifacts.download_artifacts(
            artifact_uri=current_address(model.artifact_location, store.tracking_uri, depth=3),
            dst_path=str(folder / "model"),
            tracking_uri=store.client.tracking_uri,
        )
        writer.model(run.info.run_id, Path(got))


def _summary(runs: list[entities.Run], *, num_running: int, num_without_record: int) -> Exported:
    tags = [run.data.tags for run in runs]
    notes = []
    if num_running:
        notes.append(f"{counted(num_running, 'run that still runs is', 'runs that still run are')} left out")
    if num_without_record:
        notes.append(f"{counted(num_without_record, 'trial')} left no record for comparisons to use")
    keys = {key for run in runs for key, value in run.data.params.items() if has_paths(value)}
    if keys:
        notes.append(f"{', '.join(sorted(keys))}: an absolute path, which stays since it is part of the spec id")
    return Exported(
        num_trials=sum(run_data.ATTEMPT_TAG in tag for tag in tags),
        num_grids=sum(grid_runs.GRID_TAG in tag for tag in tags),
        num_timings=sum(
            tag.get(run_data.KIND_TAG) == timing_runs.KIND and run_data.PARENT_TAG not in tag for tag in tags
        ),
        notes=tuple(notes),
    )
