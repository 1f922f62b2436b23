"""The page that the benchmarks write: a table for each kind of processor, between two marks. All else stays."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import importlib.util
import os
import platform
from typing import TYPE_CHECKING

import psutil
from benchmarks import ratios

from benchbench.records import machine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.ratios import NotRun, Row

BEGIN = "<!-- written by make bench on {instructions} -->"
END = "<!-- end of what make bench writes -->"
COLUMNS = (*ratios.COLUMNS, "measured")
GIBIBYTE = 2**30


def update(page: Path, rows: Sequence[Row | NotRun], *, instructions: str, measured: str, below: str) -> None:
    """Put rows into the table of processors with these instructions, and ``below`` under it.

    Rows that were measured before, and are not among these, stay as they are; so do the tables of other processors.
    """
    text = page.read_text(encoding="utf-8")
    begin = BEGIN.format(instructions=instructions)
    head, _, rest = text.partition(begin)
    old, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{page} lacks the marks {begin!r} and {END!r}")
    drawn = ratios.table(COLUMNS, merged(_cells(old), [(*row.cells(), measured) for row in rows]))
    page.write_text(f"{head}{begin}\n\n{drawn}\n{below.strip()}\n\n{END}{tail}", encoding="utf-8")


def merged(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the old rows with the new ones in place of those of the same name, and after them what is new.

    A row that could not be measured replaces none that was.
    """
    rows = {_name(cells): cells for cells in old}
    for cells in new:
        is_missing = not _has_values(cells)
        if is_missing and any(_has_values(other) for other in rows.values() if other[0] == cells[0]):
            continue
        rows = {name: other for name, other in rows.items() if other[0] != cells[0] or _has_values(other)}
        rows[_name(cells)] = cells
    return list(rows.values())


def _name(cells: Sequence[str]) -> tuple[str, str]:
    """Return what is measured, and against what."""
    return cells[0], cells[2]


def _has_values(cells: Sequence[str]) -> bool:
    return bool(cells[1])


def _cells(text: str) -> list[tuple[str, ...]]:
    """Return the rows of a table in Markdown, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def facts(root: Path) -> str:
    """Return what the numbers depend on: date, machine, versions and commit."""
    versions = {"python": platform.python_version()} | machine.package_versions()
    if importlib.util.find_spec("lightning"):
        versions["lightning"] = importlib.metadata.version("lightning")
    commit = (machine.git_commit(root) or "unknown")[:12]
    memory = psutil.virtual_memory().total / GIBIBYTE
    return (
        f"{stamp()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory; "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}; commit {commit}."
    )


def stamp() -> str:
    """Return the day and the processor."""
    return f"{dt.datetime.now(tz=dt.UTC).date()}, {machine.processor_name()}"
