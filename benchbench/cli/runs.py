"""``bench runs``: the trials of earlier calls, and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import TrialError

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchbench.records.journal import Journal


_NAMED = ("model", "dataset", "optimizer", "seed")
"""The keys that name every trial of a list."""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="See the trials that were run from this folder.", no_args_is_help=True)
    group.command("list")(list_runs)
    app.add_typer(group, name="runs")


def list_runs(
    *,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    as_json: options.Json = False,
) -> None:
    """List the trials of an experiment: their state, how far they are, how old, and what MLflow does not have yet.

    Trials whose process died are marked as killed, and undelivered results are sent if MLflow answers.
    """
    from benchbench.cli.output import print_json
    from benchbench.config.differences import varying
    from benchbench.driver.leftovers import end_dead
    from benchbench.records.journal import Journal

    try:
        end_dead()
    except TrialError as error:  # in a folder that may only be read, they are listed as killed all the same
        typer.echo(f"not marked as killed: {error.message}", err=True)
    journals = [journal for journal in Journal.all() if _is_of(journal, experiment) and journal.try_record()]
    _send_leftovers(journals, experiment)
    varied = varying([journal.record().spec for journal in journals])
    trials = sorted((describe(journal, varied) for journal in journals), key=lambda row: row["started_ms"])
    if as_json:
        print_json({"experiment": experiment, "trials": trials})
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


def describe(journal: Journal, varied: Collection[str] = ()) -> dict[str, Any]:
    """Return the state of a trial as plain data; ``varied`` are the keys in which the trials of a list differ."""
    from benchbench.tracking import is_delivered

    record = journal.record()
    is_dead = record.status == "running" and journal.is_interrupted()
    return {
        "attempt": record.attempt,
        "spec_id": record.spec_id,
        "model": record.spec.model.name,
        "dataset": record.spec.dataset.name,
        "optimizer": record.spec.optimizer.name,
        "seed": record.spec.seed,
        "varies": {key: value for key, value in record.spec.flat().items() if key in varied and key not in _NAMED},
        "status": "killed" if is_dead else record.status,
        "can_resume": is_dead or (record.status != "running" and journal.is_interrupted()),
        "val_accuracy": record.final.val_accuracy if record.final else None,
        "test_accuracy": record.final.test_accuracy if record.final else None,
        "epoch": len(record.epochs),
        "epochs": record.spec.epochs,
        "started_ms": record.started_ms,
        "delivered": is_delivered(journal),
        "deleted": journal.is_deleted(),
        "run_id": record.mlflow.run_id if record.mlflow else None,
    }


def _send_leftovers(journals: list[Journal], experiment: str) -> None:
    """Send undelivered results. If the store is unavailable, say so; the trials are listed anyway."""
    from benchbench.errors import TrackingError
    from benchbench.records.grid_end import GridEnd
    from benchbench.tracking import Store, is_delivered

    waiting = [
        journal
        for journal in journals
        if not is_delivered(journal) and journal.record().status != "running" and not journal.is_in_use()
    ]
    if not waiting and not GridEnd.all():
        return
    try:
        store = Store.open(None, experiment)
        for journal in waiting:
            if journal.goes_to(store.tracking_uri):
                try:
                    store.deliver(journal)
                except TrackingError as error:
                    typer.echo(f"not delivered: {journal.folder}: {error.message}", err=True)
        store.close_parents()
    except TrackingError as error:
        typer.echo(f"not delivered: {error.message}", err=True)


def _name(row: dict[str, Any], varies: str) -> str:
    return f"{row['model']} {row['dataset']} {row['optimizer']} seed {row['seed']} {varies}".strip()


def _print(trials: list[dict[str, Any]]) -> None:
    from benchbench.cli.output import duration, print_table
    from benchbench.config.differences import describe_values
    from benchbench.records.events import now_ms

    rows = [
        (
            (row["run_id"] or "")[:12],
            _name(row, describe_values(row["varies"], row["varies"])),
            row["status"] + (" (will resume)" if row["can_resume"] else ""),
            f"{row['epoch']}/{row['epochs']}",
            *("" if row[name] is None else f"{row[name]:.1%}" for name in ("val_accuracy", "test_accuracy")),
            duration((now_ms() - row["started_ms"]) / 1000),
            "yes" if row["delivered"] else "deleted" if row["deleted"] else "not yet",
        )
        for row in trials
    ]
    columns = ("run", "trial", "state", "epochs", "val", "test", "age", "in MLflow")
    print_table(columns, rows, numbers=("epochs", "val", "test", "age"), unbroken=("run",))
