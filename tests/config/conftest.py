"""Grid files in the working folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.grid_files import BASIS

from benchbench.config.grid_file import GridFile, load
from benchbench.config.spec import parse_setting

if TYPE_CHECKING:
    from collections.abc import Callable

    WriteGrid = Callable[..., Path]


@pytest.fixture
def write(workdir: Path) -> WriteGrid:
    """Return a function that writes a file into the working folder."""

    def write(text: str, name: str = "grid.toml") -> Path:
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Path(name)

    return write


@pytest.fixture
def grid(write: WriteGrid) -> Callable[..., GridFile]:
    """Return a function that reads a grid file of a model, a dataset and the lines that it is given."""
    return lambda text="", *settings, **overrides: load(
        write(BASIS + text), dict(map(parse_setting, settings)), overrides=overrides
    )
