"""One trial from the command line, from its draft to its exit code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from benchbench.cli import options as shared
from benchbench.cli.display import Display, show_end
from benchbench.cli.downloads import download_bar
from benchbench.driver.session import Options, Session
from benchbench.plugin.discovery import loose_files
from benchbench.records.journal import Journal
from benchbench.tracking import how_to_open

if TYPE_CHECKING:
    from benchbench.config.spec import Draft
    from benchbench.protocol.jobs import TrialJob


def run_single(draft: Draft, options: Options, *, as_json: bool) -> None:
    """Run a trial, or take it up where it was interrupted, and show it.

    Exits with 1 where it failed and with 130 where it was interrupted; raises a
    :class:`~benchbench.errors.BenchError` where it could not be started.
    """
    console = Console(stderr=as_json, highlight=False)
    display = Display(console)
    with Session(
        options, loose_files(draft.plugins), download_bar=partial(download_bar, console), note=display.note
    ) as session:
        (planned,) = session.plan(session.resolve([draft]))
        session.settle([planned])
        if planned.action == "resume":
            display.note(f"{planned.why}: resuming it (--fresh starts anew)")
        elif planned.action == "skip":
            display.note(f"{planned.why}: it is not trained again (--fresh starts anew)")
        job = session.job(planned)
        if planned.action != "skip":
            _train(session, job, display)
        session.close_tracker()
    record = Journal.of(job.spec.id, job.attempt).record()
    show_end(record, console, opens_with=how_to_open(record.mlflow) if record.mlflow else "")
    if as_json:
        typer.echo(record.to_json())
    raise typer.Exit(shared.EXIT_CODES[record.status])


def _train(session: Session, job: TrialJob, display: Display) -> None:
    with display.shown(lambda: session.executor.progress().get(job.folder, 0)):
        ending = session.drive(display).run([job], session.executor)
    (outcome,) = ending.outcomes
    if outcome.error is not None:
        raise KeyboardInterrupt if ending.is_interrupted else outcome.error
