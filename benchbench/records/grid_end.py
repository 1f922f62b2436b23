"""How a grid ended, kept until its own run in MLflow says so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchbench.records import sqlite_addresses
from benchbench.records.calls import NOBODY, Call
from benchbench.records.state import read_state, state_folder, write_state

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class GridEnd:
    """How a grid ended.

    ``note`` describes it in Markdown; ``files`` are texts by the names that they get among its run's artifacts. With a
    ``call``, which runs the grid, it is how the grid ends if that call does not come to its own end.
    """

    tracking_uri: str
    run_id: str
    status: str
    note: str = ""
    files: dict[str, str] = field(default_factory=dict)
    call: Call = NOBODY

    def keep(self) -> None:
        """Write it down."""
        write_state(self._path, replace(self, tracking_uri=sqlite_addresses.to_state(self.tracking_uri)))

    def drop(self) -> None:
        """Delete it: MLflow has it, or the grid's run was deleted."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def all() -> list[GridEnd]:
        """Return those that MLflow does not know yet, of grids that no call runs now."""
        paths = sorted((state_folder() / "grids").glob("*.end.json"))
        ends = [end for path in paths if (end := read_state(path, GridEnd)) and not end.call.is_alive()]
        return [replace(end, tracking_uri=sqlite_addresses.from_state(end.tracking_uri)) for end in ends]

    @property
    def _path(self) -> Path:
        return state_folder() / "grids" / f"{self.run_id}.end.json"
