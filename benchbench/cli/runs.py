"""``bench runs``: the trials of earlier calls, and their state."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT

if TYPE_CHECKING:
    from benchbench.driver.runs import TrialSummary


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="List the trials that were run from this folder.", no_args_is_help=True)
    group.command("list", short_help="List the trials of an experiment, and their status.")(list_runs)
    app.add_typer(group, name="runs")


def list_runs(
    *,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    as_json: options.Json = False,
) -> None:
    """List the trials of an experiment: status, progress, age, and which of them MLflow does not have.

    Trials whose process died are marked as killed, and undelivered results are sent if MLflow answers.
    """
    from benchbench.cli.output import print_json
    from benchbench.driver.runs import update_and_list_trials

    trials = update_and_list_trials(experiment, note=partial(typer.echo, err=True))
    if as_json:
        print_json({"experiment": experiment, "trials": [asdict(trial) for trial in trials]})
    elif trials:
        _print(trials)
    else:
        typer.echo(f"no trials of experiment {experiment!r} were run from this folder")


def _name(trial: TrialSummary, varies: str) -> str:
    return f"{trial.model} {trial.dataset} {trial.optimizer} seed {trial.seed} {varies}".strip()


def _print(trials: list[TrialSummary]) -> None:
    """Print a row for each trial; whether MLflow has it only if it does not have all."""
    from benchbench.cli.output import print_table
    from benchbench.cli.trial_lines import duration
    from benchbench.config.values import describe_values
    from benchbench.records.events import now_ms
    from benchbench.records.run_ids import short_id

    all_delivered = all(trial.delivered for trial in trials)
    rows = [
        (
            short_id(trial.run_id or ""),
            _name(trial, describe_values(trial.varies, trial.varies)),
            trial.status + (" (will resume)" if trial.can_resume else ""),
            f"{trial.epoch}/{trial.epochs}",
            *("" if value is None else f"{value:.1%}" for value in (trial.val_accuracy, trial.test_accuracy)),
            duration((now_ms() - trial.started_ms) / 1000),
            *([] if all_delivered else ["yes" if trial.delivered else "deleted" if trial.deleted else "not yet"]),
        )
        for trial in trials
    ]
    columns = ("run", "trial", "status", "epochs", "val", "test", "age", *([] if all_delivered else ["in MLflow"]))
    print_table(columns, rows, numbers=("epochs", "val", "test", "age"), unbroken=("run",))
