"""Scripts that nothing else runs: each of them starts, with the modules as they are named today."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("experiments", "tests/benchmarks", "tests/simulations")
PARTS = ("ArgumentParser(", 'if __name__ == "__main__":')
SCRIPTS = [
    path.relative_to(REPOSITORY).as_posix()
    for folder in FOLDERS
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if all(part in path.read_text(encoding="utf-8") for part in PARTS)
]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_tells_how_to_use_it(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / script, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
