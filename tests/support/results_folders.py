"""Folders with trials that are exported, and others that they are imported into."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from mlflow.entities import ViewType
from support import journals, made_records

from benchbench import export_results, import_results
from benchbench.driver import provenance
from benchbench.records.claim import Claim
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from mlflow.entities import Run

    from benchbench.tracking.importing import Imported

SECRET = "postgresql://ann:secret@db.example/mlflow"  # noqa: S105 - what must not travel


def folder(path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store of an empty folder, which becomes the working folder."""
    path.mkdir()
    shutil.copy(database, path / "mlflow.db")
    enter(path, monkeypatch)
    return Store.open()


def enter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path)
    monkeypatch.setenv("BENCH_STATE", str(path / ".bench"))


def deliver(store: Store, root: Path, seed: int, *, parent: str | None, fails: bool = False) -> None:
    first, *rest = made_records.events(made_records.spec(seed), 0.5 + 0.1 * seed)
    assert first.event == "started"
    first = replace(
        first, data=replace(first.data, source=f"{root}/photos"), plugin_origins={"model": f"{root}/tiny.py"}
    )
    if fails:
        rest = [replace(journals.failed(), error=replace(journals.failed().error, message=f"cannot use {SECRET}"))]
    journal = journals.write_journal(root / "journals", first, *rest)
    journal.set_claim(Claim(store.tracking_uri, "bench", store.experiment_id, parent_run_id=parent, is_open=False))
    journal.artifacts.mkdir()
    provenance.write_provenance(journal)
    (journal.artifacts / "predictions.csv").write_text("image,class,prediction\na,goldfish,bullfrog\n")
    (journal.artifacts / "curves.png").write_bytes(b"png")
    store.deliver(journal)


def move(to: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    """Export what is in the working folder, and import it in another."""
    file = to.parent / "results.bench"
    export_results(file)
    if to.exists():
        enter(to, monkeypatch)
    else:
        folder(to, database, monkeypatch)
    return import_results(file)


def runs(store: Store) -> list[Run]:
    return sorted(
        store.client.search_runs([store.experiment_id], run_view_type=ViewType.ALL), key=lambda run: run.info.start_time
    )


def points(store: Store, run: Run) -> dict[str, list[tuple[int, float, int]]]:
    history = store.client.get_metric_history
    return {
        key: [(point.step, point.value, point.timestamp) for point in history(run.info.run_id, key)]
        for key in run.data.metrics
    }
