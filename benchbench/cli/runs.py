"""``bench runs``: what earlier calls left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli import options

if TYPE_CHECKING:
    from benchbench.records.journal import Journal


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="See the trials that were run from this folder.", no_args_is_help=True)
    group.command("list")(list_runs)
    app.add_typer(group, name="runs")


def list_runs(
    *,
    experiment: options.Experiment = "bench",
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """List the trials of an experiment: their state, how far they are, how old, and what MLflow does not have yet.

    Trials whose process ended without a word are marked as killed, and what waits is sent if MLflow answers.
    """
    from benchbench.records.journal import Journal
    from benchbench.records.recovery import mark_dead

    mark_dead()
    journals = [journal for journal in Journal.all() if _is_of(journal, experiment) and journal.try_record()]
    _send_leftovers(journals, experiment)
    trials = sorted(map(describe, journals), key=lambda row: row["started_ms"])
    if as_json:
        typer.echo(json.dumps({"experiment": experiment, "trials": trials}, indent=2))
        return
    if not trials:
        typer.echo(f"no trials of experiment {experiment!r} were run from this folder")
        return
    _print(trials)


def _is_of(journal: Journal, experiment: str) -> bool:
    """Tell whether a trial is of an experiment, whatever that was called when the trial began."""
    from benchbench.tracking.experiments import remembered_id

    claim = journal.claim()
    if claim is None:
        return False
    return experiment == claim.experiment or remembered_id(claim.tracking_uri, experiment) == claim.experiment_id


def describe(journal: Journal) -> dict[str, Any]:
    """Return the state of a trial as plain data."""
    from benchbench.tracking import is_delivered

    record = journal.record()
    return {
        "attempt": record.attempt,
        "spec_id": record.spec_id,
        "model": record.spec.model.name,
        "dataset": record.spec.dataset.name,
        "optimizer": record.spec.optimizer.name,
        "seed": record.spec.seed,
        "status": record.status,
        "can_resume": record.status != "running" and journal.is_interrupted(),
        "epoch": len(record.epochs),
        "epochs": record.spec.epochs,
        "started_ms": record.started_ms,
        "delivered": is_delivered(journal),
        "deleted": journal.is_deleted(),
        "run_id": record.mlflow.run_id if record.mlflow else None,
    }


def _send_leftovers(journals: list[Journal], experiment: str) -> None:
    """Deliver what waits; a store that is away is told of, and stops nobody from looking."""
    from benchbench.errors import TrackingError
    from benchbench.records.grid_end import GridEnd
    from benchbench.tracking import Store, is_delivered

    waiting = [journal for journal in journals if not is_delivered(journal) and journal.record().status != "running"]
    if not waiting and not GridEnd.all():
        return
    try:
        store = Store.open(None, experiment)
        for journal in waiting:
            if (claim := journal.claim()) and claim.tracking_uri == store.tracking_uri:
                store.deliver(journal)
        store.close_parents()
    except TrackingError as error:
        typer.echo(f"not delivered: {error.message}", err=True)


def _print(trials: list[dict[str, Any]]) -> None:
    from benchbench.cli.tables import duration, print_table
    from benchbench.records.events import now_ms

    rows = [
        (
            row["spec_id"][:12],
            f"{row['model']} {row['dataset']} {row['optimizer']} seed {row['seed']}",
            row["status"] + (" (will resume)" if row["can_resume"] else ""),
            f"{row['epoch']}/{row['epochs']}",
            duration((now_ms() - row["started_ms"]) / 1000),
            "yes" if row["delivered"] else "deleted" if row["deleted"] else "not yet",
        )
        for row in trials
    ]
    print_table(("spec", "trial", "state", "epochs", "age", "in MLflow"), rows, numbers=("epochs", "age"))
