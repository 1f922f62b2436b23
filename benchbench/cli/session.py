"""One call of ``bench run`` from start to end: start the worker, open the store, drive the trial, show the result.

The worker is started first: while it imports torch, this process finds the plugins and MLflow's store is opened.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import typer
from rich.console import Console

from benchbench.catalog import Catalog
from benchbench.cli.display import Display, show_end
from benchbench.discovery import loose_files
from benchbench.executors.local import LocalExecutor
from benchbench.fetch import ensure, parse_data_options
from benchbench.grid import drive, new_attempt
from benchbench.journal import Journal
from benchbench.listeners import Listeners
from benchbench.order import TrialOrder
from benchbench.report import figures
from benchbench.tracker import TrackerThread, how_to_open

if TYPE_CHECKING:
    from benchbench.grid import Outcome
    from benchbench.order import ArtifactLevel
    from benchbench.record import Record
    from benchbench.spec import Draft

INTERRUPTED = 130
FAILED = 1


@dataclass(frozen=True)
class RunOptions:
    """What ``bench run`` is told besides the trial itself."""

    device: str
    data: tuple[str, ...]
    experiment: str
    artifacts: ArtifactLevel
    as_json: bool


def run_one(draft: Draft, options: RunOptions) -> None:
    """Run a trial and show it; exits with 0, or with 1 where it failed and 130 where it was interrupted.

    Raises a :class:`~benchbench.errors.BenchError` where it could not be started.
    """
    console = Console(stderr=options.as_json, highlight=False)
    files = loose_files(draft.plugins)
    with ExitStack() as stack:
        executor = stack.enter_context(LocalExecutor(plugin_files=files))
        tracker = TrackerThread(None, options.experiment, on_trouble=lambda text: display.note(text))
        display = Display(console, num_trained=executor.num_trained)
        catalog = Catalog.read(files)
        executor.use_origins(catalog.origins_of(draft))
        dataset = catalog.find("dataset", draft.dataset.name)
        data_root = ensure(dataset.name, dataset.download, parse_data_options(options.data), None)
        (spec,) = executor.resolve([draft])
        tracker.wait_open()
        attempt = new_attempt()
        order = TrialOrder(
            spec=spec,
            attempt=attempt,
            device=options.device,
            data_root=str(data_root),
            artifacts_folder=str(Journal.of(spec.id, attempt).artifacts.absolute()),
            artifacts=options.artifacts,
            plugin_files=files,
        )
        stack.enter_context(display)
        (outcome,) = drive([order], executor, deliver=tracker.notify, watcher=display, listeners=Listeners([], on_trouble=display.note))
        tracker.close()
