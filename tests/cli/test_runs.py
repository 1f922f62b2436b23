"""``bench runs list`` on journals of trials that never ran."""

from __future__ import annotations

import json
import resource
import shutil
from typing import TYPE_CHECKING

from support import journals
from typer.testing import CliRunner

from benchbench.cli.main import make_app
from benchbench.records.claim import Claim
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_cannot_be_written_is_listed_with_its_dead_trials(workdir: Path) -> None:
    journal = Journal.of(journals.SPEC.id, "20260101-000000-abcdef01")
    journal.append(journals.started(journal.attempt))
    journal.set_claim(Claim(f"sqlite:///{workdir}/mlflow.db", "bench", "1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        done = CliRunner().invoke(make_app(), ["runs", "list", "--json"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.exit_code == 0, done.output
    (trial,) = json.loads(done.stdout)["trials"]
    assert (trial["status"], trial["can_resume"]) == ("killed", True)
    assert "not marked as killed: the journal" in done.stderr


def test_trials_that_wait_for_a_store_at_another_address_are_noted(workdir: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    journal = Journal.of(journals.SPEC.id, "20260101-000000-abcdef01")
    for event in (journals.started(journal.attempt), journals.epoch(1), journals.finished()):
        journal.append(event)
    journal.set_claim(Claim("http://old.example:5000", "bench", "1", is_open=False))
    done = CliRunner().invoke(make_app(), ["runs", "list"])
    assert done.exit_code == 0, done.output
    assert "in MLflow" in done.stdout
    assert "not yet" in done.stdout
    assert "1 trial waits for the tracking store http://old.example:5000" in " ".join(done.stderr.split())
    assert "MLFLOW_TRACKING_URI=http://old.example:5000" in done.stderr
    journal.set_delivered({})
    assert "wait for" not in CliRunner().invoke(make_app(), ["runs", "list"]).stderr
