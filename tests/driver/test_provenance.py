"""The files that say how a trial was made."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from support import journals

from benchbench.config import spec as specs
from benchbench.config.text_files import read_toml
from benchbench.driver.provenance import environment, write_provenance
from benchbench.records.record import Record
from benchbench.records.redaction import without_credentials

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_package_that_is_installed_while_this_process_runs_is_in_the_environment_of_later_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages), str(tmp_path / "gone" / "site-packages")])
    before = json.loads(environment(journals.MACHINE))["installed"]
    (packages / "nets-2.0.dist-info").mkdir()
    (packages / "nets-2.0.dist-info" / "METADATA").write_text("Name: nets\nVersion: 2.0\n", encoding="utf-8")
    after = json.loads(environment(journals.MACHINE))["installed"]
    assert set(after) - set(before) == {"nets==2.0"}


def test_the_spec_that_is_kept_repeats_the_trial(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.failed(status="killed"))
    write_provenance(journal)
    draft = specs.Draft.from_toml(read_toml(journal.artifacts / "spec.toml"))
    assert draft.plugins == ("/plugins/squares.py",)
    assert draft.seed == 7
    assert draft.optimizer.params == journals.SPEC.optimizer.params


def test_the_spec_that_is_kept_tells_two_plugin_files_of_one_name_apart(tmp_path: Path) -> None:
    started = journals.started()
    origins = {**started.plugin_origins, "dataset": "/new/squares.py"}
    started = replace(started, plugin_files=("/new/squares.py", "/old"), plugin_origins=origins)
    journal = journals.write_journal(tmp_path, started, journals.failed(status="killed"))
    write_provenance(journal)
    draft = specs.Draft.from_toml(read_toml(journal.artifacts / "spec.toml"))
    assert draft.dataset.name == f"new/squares.py:{journals.SPEC.dataset.name}"


def test_the_record_and_the_environment_are_kept_of_a_killed_trial_too(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.failed(status="killed"))
    write_provenance(journal)
    expected = without_credentials(journal.record().to_json())
    assert Record.from_json((journal.artifacts / "record.json").read_bytes()) == Record.from_json(expected)
    environment = json.loads((journal.artifacts / "environment.json").read_text(encoding="utf-8"))
    assert environment["processor"] == "Some Processor"
    assert environment["versions"] == {"python": "3.11.7", "torch": "2.14.1"}
    assert any(name.startswith("mlflow==") for name in environment["installed"])
