"""Checks of what a plugin's module does when it is imported, in a process that has torch already."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from benchbench.plugin.loading import load
from benchbench.protocol.plugin_check_messages import CheckOutcome
from benchbench.testing.checking import check, outcomes, require
from benchbench.testing.generators import generator_states
from benchbench.worker.torch_settings import restore_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.plugin.discovery import Source
    from benchbench.plugin.loading import LoadedModule

QUICK_SECONDS = 3.0
"""How long an import may take. Each start of a worker pays for it."""


@dataclass
class ImportEffects:
    """A module, and what its import did besides loading it."""

    loaded: LoadedModule
    seconds: float
    printed: str
    changed: list[str] = field(default_factory=list)
    generators: list[str] = field(default_factory=list)


def watch(source: Source) -> ImportEffects:
    """Import a module, and note what else its import does."""
    num_threads = torch.get_num_threads()
    restore_settings("fp32", num_threads=num_threads)
    folder, path, generators = os.getcwd(), list(sys.path), generator_states()  # noqa: PTH109 - compared as text
    with _captured() as printed:
        begin = time.perf_counter()
        loaded = load(source)
        seconds = time.perf_counter() - begin
    changed = list(restore_settings("fp32", num_threads=num_threads))
    if os.getcwd() != folder:  # noqa: PTH109 - as above
        os.chdir(folder)
        changed.append("the working folder")
    if sys.path != path:
        sys.path[:] = path
        changed.append("sys.path")
    after = generator_states()
    moved = [name for name in generators if generators[name] != after[name]]
    return ImportEffects(loaded, seconds, printed[0], changed, moved)


@contextmanager
def _captured() -> Iterator[list[str]]:
    """Collect what is written to the standard streams, also by libraries that do not go through Python."""
    printed: list[str] = [""]
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield printed
        finally:
            for stream in streams:
                stream.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            printed[0] = file.read().decode(errors="replace")


@check()
def imports_quickly(effects: ImportEffects) -> None:
    """Check that the import takes less than three seconds, torch not counted."""
    problem = f"its import takes {effects.seconds:.1f} s"
    fix = "import what takes long inside build() or load(), and compute nothing at import"
    require(effects.seconds <= QUICK_SECONDS, problem, fix=fix)


@check()
def prints_nothing(effects: ImportEffects) -> None:
    """Check that the import prints nothing."""
    first = effects.printed.strip().partition("\n")[0]
    require(not first, f"its import prints {first[:80]!r}", fix="remove the print, or use the logging module")


@check()
def seeds_nothing(effects: ImportEffects) -> None:
    """Check that the import neither seeds global random generators nor draws from them."""
    problem = f"its import seeds, or draws from, the global generator of {', '.join(effects.generators)}"
    require(not effects.generators, problem, fix="draw in build() or load(), from a generator of your own")


@check()
def leaves_switches_alone(effects: ImportEffects) -> None:
    """Check that the import changes no setting of the whole process."""
    problem = f"its import changes {', '.join(effects.changed)}, which other plugins use as well"
    require(not effects.changed, problem, fix="leave it out: trials set threads, precision and dtype themselves")


CHECKS = (imports_quickly, prints_nothing, seeds_nothing, leaves_switches_alone)


def import_outcomes(effects: ImportEffects) -> Iterator[CheckOutcome]:
    """Yield what the checks of a module come to; everything that is broken in it is told by itself."""
    for broken in effects.loaded.broken:
        yield CheckOutcome("loads", "failed", broken.reason, "docs/plugins.md lists what makes a plugin broken")
    if not effects.loaded.broken:
        yield CheckOutcome("loads", "passed")
    yield from outcomes(CHECKS, effects)
