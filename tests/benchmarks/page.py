"""The page that the benchmarks write: what lies between two marks is replaced, the words around it stay."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import importlib.util
import os
import platform
from typing import TYPE_CHECKING

import psutil

from benchbench.records import machine

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- written by make bench -->"
END = "<!-- end of what make bench writes -->"
GIBIBYTE = 2**30


def replace(page: Path, text: str) -> None:
    """Put ``text`` between the marks of the page."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"{page} lacks the marks {BEGIN!r} and {END!r}")
    page.write_text(f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}", encoding="utf-8")


def facts(root: Path) -> str:
    """Return what the numbers depend on: date, machine, versions and commit."""
    versions = {"python": platform.python_version()} | machine.package_versions()
    if importlib.util.find_spec("lightning"):
        versions["lightning"] = importlib.metadata.version("lightning")
    commit = (machine.git_commit(root) or "unknown")[:12]
    memory = psutil.virtual_memory().total / GIBIBYTE
    today = dt.datetime.now(tz=dt.UTC).date()
    return (
        f"{today}, {machine.processor_name()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory; "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}; commit {commit}."
    )
