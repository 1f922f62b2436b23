"""``bench runs``: the trials of earlier calls, and their state."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="List the trials that were run from this folder.", no_args_is_help=True)
    group.command("list")(list_runs)
    app.add_typer(group, name="runs")


def list_runs(
    *,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    as_json: options.Json = False,
) -> None:
    """List the trials of an experiment: state, progress, age, and whether MLflow has their results.

    Trials whose process died are marked as killed, and undelivered results are sent if MLflow answers.
    """
    from benchbench.cli.output import print_json
    from benchbench.driver.trial_list import trial_list

    trials = trial_list(experiment, note=partial(typer.echo, err=True))
    if as_json:
        print_json({"experiment": experiment, "trials": trials})
    elif trials:
        _print(trials)
    else:
        typer.echo(f"no trials of experiment {experiment!r} were run from this folder")


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
