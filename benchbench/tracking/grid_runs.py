"""What MLflow knows about a grid: the parent run of its trials, and which trials are done."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from benchbench.config.design import Design, Designs
from benchbench.records import file_names, metrics, sqlite_addresses
from benchbench.records.cleaning import cleaned_toml
from benchbench.records.events import rank
from benchbench.records.json_adapter import json_adapter
from benchbench.records.known_runs import FinishedRun, KnownRuns
from benchbench.records.redaction import without_credentials
from benchbench.records.state import folder_id
from benchbench.tracking import run_data
from benchbench.tracking.client import create_once
from benchbench.tracking.experiments import find_experiment
from benchbench.tracking.reading import ReadableStore, reading, search
from benchbench.tracking.run_files import artifact_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from benchbench.records.grid_end import GridEnd

GRID_TAG = "benchbench.grid"
FILE_TAG = "benchbench.grid_file"
"""Two files may have the same name in them."""

FOLDER_TAG = "benchbench.folder"
"""Several people may have files of the same name, in folders of their own, and share a store."""

DESIGN_TAG = "benchbench.decide"
"""The design by which a grid last added seeds; empty if it had a fixed number of them."""

EARLIER_TAG = "benchbench.decide_before"
"""The designs that the grid had before its file was changed."""

CONTINUED_TAG = "benchbench.continued"
"""On the imported run of a grid that was run from here since."""

TABLES_TAG = "mlflow.loggedArtifacts"
FEW = 20
"""Up to this many specs or attempts are asked for one by one; for more, the whole experiment is read."""

_MAX_EARLIER = 5
_Earlier = tuple[Design, ...]


def find_known_runs(client: MlflowClient, experiment_id: str, spec_ids: Collection[str]) -> KnownRuns:
    """Return the finished runs of these specs that nobody deleted, and the attempts of runs that were deleted.

    Of several runs of one spec the newest counts. An attempt that has another run, which nobody deleted, is there.
    """
    from mlflow.entities import ViewType

    finished = {
        (run.data.tags[run_data.SPEC_TAG], run.data.tags[run_data.DATA_TAG]): _finished(run)
        for query in _queries(run_data.SPEC_TAG, spec_ids, {run_data.STATUS_TAG: "finished"})
        for run in search(client, experiment_id, query, ViewType.ACTIVE_ONLY)
        if {run_data.SPEC_TAG, run_data.DATA_TAG} <= run.data.tags.keys()  # MLflow's pages let users delete tags
    }
    deleted = {
        run.data.tags.get(run_data.ATTEMPT_TAG, ""): run.data.tags.get(run_data.SPEC_TAG)
        for run in search(client, experiment_id, "", ViewType.DELETED_ONLY)
    }
    ours = {attempt for attempt, spec_id in deleted.items() if spec_id in spec_ids}
    there = _active_attempts(client, experiment_id, ours) if ours else set()
    return KnownRuns(finished=finished, deleted_attempts=frozenset(deleted.keys() - there))


def _active_attempts(client: MlflowClient, experiment_id: str, attempts: Collection[str]) -> set[str]:
    """Return those attempts that have a run which nobody deleted, and maybe others."""
    from mlflow.entities import ViewType

    return {
        run.data.tags.get(run_data.ATTEMPT_TAG, "")
        for query in _queries(run_data.ATTEMPT_TAG, attempts, {})
        for run in search(client, experiment_id, query, ViewType.ACTIVE_ONLY)
    }


def _queries(tag: str, values: Collection[str], others: dict[str, str]) -> list[str]:
    """Return a query for each value of a tag or, if there are many, one for any; ``others`` are tags of all of them."""
    return [_query(others | {tag: value}) for value in values] if len(values) <= FEW else [_query(others)]


def open_parent(client: MlflowClient, experiment_id: str, name: str, *, file: Path, headline: str) -> str:
    """Return the id of the run of a grid, running: it is made, or opened again if there is one.

    One that was imported is opened if its file says the same.
    """
    identity = _identity_tags(client, name, file, is_made=True)
    store = ReadableStore(client, without_credentials(client.tracking_uri))
    existing = _find(store, experiment_id, identity, file)
    if existing is not None:
        run_id: str = existing.info.run_id
        client.update_run(run_id, status="RUNNING")
        if not _is_from_here(existing):
            client.set_tag(run_id, CONTINUED_TAG, "yes")
        return run_id
    # What stands here until the grid ends for the first time; afterwards its description does.
    note = {run_data.NOTE_TAG: run_data.storable(headline)} if headline else {}
    tags = identity | {run_data.KIND_TAG: "grid"} | note
    run = create_once(
        lambda: client.create_run(experiment_id, run_name=run_data.shortened_name(name), tags=tags),
        lambda: _find(store, experiment_id, identity, file),
    )
    return str(run.info.run_id)


def remember_design(client: MlflowClient, run_id: str, design: Design | None) -> None:
    """Keep with the run of a grid how its seeds are added, so that later comparisons know it, and how they were."""
    before = designs_of(client.get_run(run_id))
    if design == before.current:
        return
    if before.current is not None:
        earlier = tuple(dict.fromkeys((*before.earlier, before.current)))[-_MAX_EARLIER:]
        client.set_tag(run_id, EARLIER_TAG, json_adapter(_Earlier).dump_json(earlier).decode())
    client.set_tag(run_id, DESIGN_TAG, "" if design is None else json_adapter(Design).dump_json(design).decode())


def designs_of(run: Run) -> Designs:
    """Return how the grid of a run has added seeds."""
    current, earlier = (run.data.tags.get(tag) for tag in (DESIGN_TAG, EARLIER_TAG))
    return Designs(
        json_adapter(Design).validate_json(current) if current else None,
        json_adapter(_Earlier).validate_json(earlier) if earlier else (),
    )


def find_designs(experiment: str, *, name: str = "", file: Path | None = None) -> Designs:
    """Return how a grid has added seeds: our grid of that name and file, or else the only one there is.

    That of another folder counts if it has the same name and file, and ours has none.
    """
    with reading() as store:
        experiment_id = find_experiment(store.client, store.tracking_uri, experiment).experiment_id
        identity = _identity_tags(store.client, name, file) if file else {}
        query = _query(identity) if identity else f"tags.`{GRID_TAG}` LIKE '%'"
        runs = list(store.client.search_runs([experiment_id], query))
        if file:
            runs = list(filter(_is_from_here, runs))[:1] or _of_others(store, experiment_id, identity, file)
    if len(runs) == 1:
        return designs_of(runs[0])
    return Designs(grids=tuple(run.data.tags[GRID_TAG] for run in runs if run.data.tags.get(DESIGN_TAG)))


def find_parent(run_ids: Iterable[str], experiment_id: str, *, name: str = "", file: Path | None = None) -> str | None:
    """Return the id of the run of a grid: the one of that name and file, or the one that all these runs are below.

    Runs below none are passed over. None if there is no such run, or if it was deleted.
    """
    with reading() as store:
        client = store.client
        if name and file and (run := _find(store, experiment_id, _identity_tags(client, name, file), file)):
            return str(run.info.run_id)
        tags = [client.get_run(run_id).data.tags for run_id in run_ids]
        parents = {tag[run_data.PARENT_TAG] for tag in tags if run_data.PARENT_TAG in tag}
        if len(parents) != 1:
            return None
        return _if_active(client, parents.pop())


def _if_active(client: MlflowClient, run_id: str) -> str | None:
    """Return the id of a run, or None if it was deleted, for good or not."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run_id if run.info.lifecycle_stage == "active" else None


def _find(store: ReadableStore, experiment_id: str, identity: dict[str, str], file: Path) -> Run | None:
    """Return the newest run of a grid: one from here, or else one that was imported and whose file says the same."""
    runs = list(store.client.search_runs([experiment_id], _query(identity)))
    return next(iter(list(filter(_is_from_here, runs)) or _equal(store, runs, file)), None)


def _of_others(store: ReadableStore, experiment_id: str, identity: dict[str, str], file: Path) -> list[Run]:
    """Return the runs of grids of this name that are another person's or were imported; the one of an equal file."""
    of_name = store.client.search_runs([experiment_id], _query({GRID_TAG: identity[GRID_TAG]}))
    runs = [run for run in of_name if not _is_from_here(run) or run.data.tags.get(FILE_TAG) == identity[FILE_TAG]]
    return _equal(store, runs, file)[:1] or runs


def _is_from_here(run: Run) -> bool:
    """Tell whether a grid was run in this store, and not only imported into it."""
    return run_data.ORIGIN_TAG not in run.data.tags or CONTINUED_TAG in run.data.tags


def _equal(store: ReadableStore, runs: Iterable[Run], file: Path) -> list[Run]:
    """Return those runs of grids whose file says the same as this one."""
    text = cleaned_toml(file.read_text(encoding="utf-8")) if file.is_file() else None
    return [run for run in runs if text is not None and grid_text(store, run) == text]


def grid_text(store: ReadableStore, run: Run) -> str | None:
    """Return the file of a grid as it would be exported, or None for a grid that never ended."""
    text = artifact_text(store, run, file_names.GRID)
    return None if text is None else cleaned_toml(text)


def _query(tags: dict[str, str]) -> str:
    return " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in tags.items())


def _identity_tags(client: MlflowClient, name: str, file: Path, *, is_made: bool = False) -> dict[str, str]:
    """Return what tells a grid from all others; the file relative to our folder, which may be moved.

    In a store that others may use as well, our folder has an id, which ``is_made`` if there was none.
    """
    relative = sqlite_addresses.relative(file.resolve()).as_posix()
    tags = {GRID_TAG: searchable(name), FILE_TAG: searchable(relative)}
    database = sqlite_addresses.sqlite_path(client.tracking_uri)
    is_ours = database is not None and database.resolve().parent == sqlite_addresses.base_folder().resolve()
    folder = "" if is_ours else folder_id(is_made=is_made)
    return tags | ({FOLDER_TAG: folder} if folder else {})


def close_parent(client: MlflowClient, end: GridEnd) -> None:
    """End the run of a grid, then describe it: a run that cannot keep files has ended all the same."""
    client.set_terminated(end.run_id, status=end.status.upper())
    if end.note:
        client.set_tag(end.run_id, run_data.NOTE_TAG, run_data.storable(end.note))
    for name, text in end.files.items():
        client.log_text(end.run_id, without_credentials(text), name)
    tables = [{"path": name, "type": "table"} for name in end.files if name.endswith(".json")]
    if tables:
        # As mlflow.log_table has it; that would add to a table that is there, not replace it.
        client.set_tag(end.run_id, TABLES_TAG, json.dumps(tables))


def searchable(text: str) -> str:
    """Return a text without what would end a text in MLflow's queries."""
    return re.sub(r"['\"`]", "", text)


def _finished(run: Run) -> FinishedRun:
    tags, values = run.data.tags, run.data.metrics
    return FinishedRun(
        run_id=run.info.run_id,
        sources=_under(tags, run_data.SOURCE_TAG),
        versions=_under(tags, run_data.VERSION_TAG),
        wall_seconds=values.get(metrics.WALL_SECONDS),
        rank=rank(values.get(metrics.FINAL_VAL_ACCURACY, -1.0), values.get(metrics.FINAL_VAL_LOSS, float("inf"))),
    )


def _under(tags: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}
