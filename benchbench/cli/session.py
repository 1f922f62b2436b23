"""One call of ``bench run`` from start to end: start the worker, open the store, drive the trial, show the result.

The worker is started first: while it imports torch, this process finds the plugins and MLflow's store is opened.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from benchbench.catalog import Catalog
from benchbench.cli.display import Display, show_end
from benchbench.cli.downloads import download_bar
from benchbench.discovery import loose_files
from benchbench.executors.local import LocalExecutor
from benchbench.fetch import ensure, parse_data_options
from benchbench.grid import drive, new_attempt
from benchbench.journal import Journal
from benchbench.listeners import Listeners
from benchbench.order import TrialOrder
from benchbench.registry import Registry
from benchbench.tracker import TrackerThread, how_to_open

if TYPE_CHECKING:
    from benchbench.order import ArtifactLevel
    from benchbench.record import Record
    from benchbench.spec import Draft

EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}
DELIVERY_SECONDS = 120.0
"""How long to wait at the end for a tracking server that has trouble."""


@dataclass(frozen=True)
class RunOptions:
    """What ``bench run`` is told besides the trial itself."""

    device: str
    data: tuple[str, ...]
    experiment: str
    artifacts: ArtifactLevel
    as_json: bool


def run_one(draft: Draft, options: RunOptions) -> None:
    """Run a trial and show it; exits with 1 where it failed and with 130 where it was interrupted.

    Raises a :class:`~benchbench.errors.BenchError` where it could not be started.
    """
    console = Console(stderr=options.as_json, highlight=False)
    files = loose_files(draft.plugins)
    with ExitStack() as stack:
        executor = stack.enter_context(LocalExecutor(plugin_files=files))
        display = stack.enter_context(Display(console, num_trained=executor.num_trained))
        tracker = TrackerThread(None, options.experiment, on_trouble=display.note)
        catalog = Catalog.read(files)
        executor.use_origins(catalog.origins_of(draft))
        data_root = _find_data(catalog, draft.dataset.name, options.data, console)
        (spec,) = executor.resolve([draft])
        tracker.wait_open()
        attempt = new_attempt()
        journal = Journal.of(spec.id, attempt)
        order = TrialOrder(
            spec=spec,
            attempt=attempt,
            device=options.device,
            data_root=data_root,
            artifacts_folder=str(journal.artifacts.absolute()),
            artifacts=options.artifacts,
            plugin_files=files,
        )
        (outcome,) = drive(
            [order],
            executor,
            complete=lambda journal: _complete(journal, options.artifacts),
            deliver=tracker.notify,
            watcher=display,
            listeners=_listeners(catalog, files, display),
        )
        if outcome.error is not None:
            raise outcome.error
        undelivered = tracker.close(DELIVERY_SECONDS)
    record = journal.record()
    _show(record, console, as_json=options.as_json)
    if undelivered:
        console.print(f"not delivered to MLflow yet: {tracker.trouble}", soft_wrap=True, markup=False)
    raise typer.Exit(EXIT_CODES[record.status])


def _find_data(catalog: Catalog, name: str, data: tuple[str, ...], console: Console) -> str:
    entry = catalog.find("dataset", name)
    with download_bar(console) as on_progress:
        return str(ensure(entry.name, entry.download, parse_data_options(data), on_progress))


def _listeners(catalog: Catalog, files: tuple[str, ...], display: Display) -> Listeners:
    """Load the plugins that listen, and no others, into this process."""
    if not catalog.listeners:
        return Listeners([], on_trouble=display.note)
    registry = Registry.load(files, only=catalog.listeners)
    return Listeners(registry.listeners, on_trouble=display.note)


def _complete(journal: Journal, level: ArtifactLevel) -> None:
    if level == "none":
        return
    from benchbench.report import figures, provenance  # noqa: PLC0415 - matplotlib, when the training is over

    provenance.describe(journal)
    if level == "full":
        figures.draw(journal)


def _show(record: Record, console: Console, *, as_json: bool) -> None:
    show_end(record, console, opens_with=record.mlflow and how_to_open(record.mlflow))
    if as_json:
        typer.echo(record.to_json())
