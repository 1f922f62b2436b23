"""What several tests of data stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return where the images of :class:`support.squares.Squares` are: a file with their number."""
    path = tmp_path / "squares.txt"
    path.write_text("6")
    return path
