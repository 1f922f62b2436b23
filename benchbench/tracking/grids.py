"""What MLflow knows of a grid: the run that stands above its trials, and which trials are done."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from benchbench.records.finished import FinishedRun, Known
from benchbench.tracking import content
from benchbench.tracking.address import without_credentials

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from benchbench.records.journal import GridEnd

GRID_TAG = "benchbench.grid"
TABLES_TAG = "mlflow.loggedArtifacts"
FEW_SPECS = 20
"""Up to this many specs are asked for one by one; for more, the whole experiment is read."""

_PAGE = 1000


def known(client: MlflowClient, experiment_id: str, spec_ids: Collection[str]) -> Known:
    """Return the finished runs of these specs that nobody deleted, and the attempts of runs that were deleted.

    Of several runs of one spec the newest counts.
    """
    from mlflow.entities import ViewType

    is_finished = f"tags.`{content.STATUS_TAG}` = 'finished'"
    queries = [is_finished]
    if len(spec_ids) <= FEW_SPECS:
        queries = [f"{is_finished} and tags.`{content.SPEC_TAG}` = '{spec_id}'" for spec_id in spec_ids]
    finished = {
        (run.data.tags[content.SPEC_TAG], run.data.tags[content.DATA_TAG]): _finished(run)
        for query in queries
        for run in search(client, experiment_id, query, ViewType.ACTIVE_ONLY)
    }
    deleted = search(client, experiment_id, "", ViewType.DELETED_ONLY)
    attempts = {run.data.tags.get(content.ATTEMPT_TAG, "") for run in deleted}
    return Known(finished=finished, deleted_attempts=frozenset(attempts))


def open_parent(client: MlflowClient, experiment_id: str, name: str, question: str) -> str:
    """Return the id of the run of a grid, running: it is made, or opened again where there is one."""
    found = find_parent(client, experiment_id, name)
    if found is not None:
        client.update_run(found, status="RUNNING")
        return found
    # What stands here until the grid ends for the first time; afterwards its description does.
    tags = {GRID_TAG: _tag_of(name)} | ({content.NOTE_TAG: question} if question else {})
    run_id: str = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    return run_id


def find_parent(client: MlflowClient, experiment_id: str, name: str) -> str | None:
    """Return the id of the run of the grid of that name, or None where there is none."""
    found = client.search_runs([experiment_id], f"tags.`{GRID_TAG}` = '{_tag_of(name)}'", max_results=1)
    return found[0].info.run_id if found else None


def close_parent(client: MlflowClient, end: GridEnd) -> None:
    """End the run of a grid, then describe it: a run that cannot keep files has ended all the same."""
    client.set_terminated(end.run_id, status=end.status.upper())
    if end.note:
        client.set_tag(end.run_id, content.NOTE_TAG, without_credentials(end.note))
    for name, text in end.files.items():
        client.log_text(end.run_id, without_credentials(text), name)
    tables = [{"path": name, "type": "table"} for name in end.files if name.endswith(".json")]
    if tables:
        # As mlflow.log_table has it; that would add to a table that is there, not replace it.
        client.set_tag(end.run_id, TABLES_TAG, json.dumps(tables))


def _tag_of(name: str) -> str:
    """Return a grid's name without what would end a text in MLflow's queries."""
    return re.sub(r"['\"`]", "", name)


def _finished(run: Run) -> FinishedRun:
    tags, metrics = run.data.tags, run.data.metrics
    return FinishedRun(
        run_id=run.info.run_id,
        sources=_under(tags, content.SOURCE_TAG),
        versions=_under(tags, content.VERSION_TAG),
        wall_seconds=metrics.get("time/wall_seconds"),
        val_accuracy=metrics.get("final_val_accuracy"),
    )


def _under(tags: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def search(client: MlflowClient, experiment_id: str, query: str, view: int) -> Iterator[Run]:
    """Yield all runs of an experiment that a query finds, however many."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], query, view, max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return
