"""Distributions with plugins, installed by writing what pip would write."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install(folder: Path, name: str, module: str) -> None:
    """Install a distribution whose entry point is a module that lies in the folder."""
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[benchbench]\nmain = {module}\n")
    importlib.invalidate_caches()
