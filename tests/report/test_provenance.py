"""The files that say how a trial was made."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from support import journals

from benchbench.report.provenance import environment

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
