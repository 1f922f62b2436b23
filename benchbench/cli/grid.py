"""``bench grid``: run all trials of a TOML file that are not done yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli import options
from benchbench.config import defaults
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import SpecError, plain

if TYPE_CHECKING:
    from benchbench.driver.grid_result import GridResult, Trial


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("grid", short_help="Run the trials of a file.")(grid)


def grid(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A grid file, such as experiments/grid.toml.")],
    num_jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Trials at a time.", show_default="1, or one per GPU")
    ] = None,
    executor: Annotated[defaults.ExecutorName, typer.Option("--executor", help="Where trials run.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="Ray cluster; without it, Ray starts on this machine.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be done, and how long it may take.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show why each trial runs or is skipped.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Continue after a failed trial, or stop.")
    ] = True,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", min=1, help="Start no more trials after this many have failed.")
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Add seeds, up to 20, until every comparison is decided.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Repeat finished trials, as new runs.")] = False,
    rerun_stale: Annotated[
        bool, typer.Option("--rerun-stale", help="Repeat trials that finished with other code or packages.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start interrupted trials over.")] = False,
    resume_anyway: options.ResumeAnyway = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Allow more than 10,000 trials, and abandon interrupted trials that are no longer in the grid.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        options.set_option("Set a parameter in every trial; may be repeated."),
    ] = None,
    device: options.Device = defaults.DEVICE,
    precision: Annotated[
        defaults.Precision | None, typer.Option("--precision", help="Override the file's precision.")
    ] = None,
    data: options.Data = None,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    plugins: options.Plugins = None,
    artifacts: Annotated[
        defaults.ArtifactLevel,
        typer.Option(
            "--artifacts",
            help="What to keep of each trial: nothing, tables (and everything of the best trial), or everything.",
        ),
    ] = defaults.ARTIFACTS_OF_GRID,
    accelerate: options.AccelerateChoice = defaults.ACCELERATE,
    compiled: options.Compile = False,
    checkpoint_every: options.CheckpointEvery = None,
    keep_checkpoints: options.KeepCheckpoints = False,
    as_json: options.Json = False,
) -> None:
    """Run the trials of FILE: skip finished ones, resume interrupted ones, and run the rest."""
    from rich.console import Console

    from benchbench.cli.displays import GridDisplay
    from benchbench.cli.output import print_json
    from benchbench.data.locations import parse_data_options
    from benchbench.driver.grid import grid as train
    from benchbench.driver.interrupts import result_so_far

    if not keep_going and max_failures is not None:
        raise SpecError("--fail-fast and --max-failures are both given", hint="--fail-fast is --max-failures 1")
    console = Console(stderr=as_json, highlight=False)
    with GridDisplay(console, lists_trials=dry_run or verbose, gives_reasons=verbose) as display:
        result, is_interrupted = result_so_far(
            lambda: train(
                file,
                precision=precision,
                set=options.settings_of(settings),
                jobs=num_jobs,
                executor=executor,
                address=address,
                again=again,
                rerun_stale=rerun_stale,
                fresh=fresh,
                resume_anyway=resume_anyway,
                max_failures=max_failures if keep_going else 1,
                decide=decide,
                dry_run=dry_run,
                yes=yes,
                watcher=display,
                device=device,
                data=parse_data_options(data or ()),
                experiment=experiment,
                plugins=plugins or (),
                artifacts=artifacts,
                accelerate=accelerate,
                compile=compiled,
                checkpoint_every=checkpoint_every,
                keep_checkpoints=keep_checkpoints,
            )
        )
    if as_json:
        print_json(to_json(result, dry_run=dry_run))
    # Trials that the command line changed are not those of the file.
    of_file = None if settings or precision else file
    if dry_run:
        if not as_json:
            show_command_after_plan(result, of_file, experiment)
        return
    if not as_json:
        show_trials(result)
        show_decisions(result)
        show_next_commands(result, of_file, experiment, again=again, fresh=fresh)
    raise typer.Exit(options.EXIT_CODES["killed" if is_interrupted else result.status])


def show_trials(result: GridResult) -> None:
    """Print a row for each trial of this call; the best by validation is marked ``*``."""
    from benchbench.cli.output import print_table
    from benchbench.records.record import best

    trials = [trial for trial in result.trials if trial.is_new]
    top = best(trial.record for trial in trials if trial.record)
    if trials:
        numbers = ("val accuracy", "test accuracy", "time")
        rows = [_row(trial, result.varying, is_best=top is not None and trial.record is top) for trial in trials]
        print_table((*result.varying, "status", *numbers), rows, numbers=numbers)
        if top is not None:
            typer.echo("* best validation accuracy")
    for trial in trials:
        error = trial.error or (trial.record and trial.record.error)
        if error:
            typer.echo(plain(f"{trial.status}: {result.trial_name(trial)}: {error.message}"), err=True)


def show_decisions(result: GridResult) -> None:
    """Print what an adaptive design came to."""
    if result.progress is None or result.status == "killed":
        return
    from benchbench.cli.output import print_lines
    from benchbench.cli.printed_answer import print_answer
    from benchbench.compare.adaptive import summary

    if result.progress.comparisons:
        print_answer(result.progress.comparison, "table")
    print_lines(summary(result.progress, len(result.trials)), "table")


def show_next_commands(result: GridResult, of_file: Path | None, experiment: str, *, again: bool, fresh: bool) -> None:
    """Print where the grid's run and report are, and the next command."""
    from benchbench.cli.output import next_command, predict_command
    from benchbench.tracking import how_to_open
    from benchbench.tracking.run_models import keeps_model

    if result.run:
        typer.echo(f"the grid's run: {how_to_open(result.run)}")
    if result.has_report:
        typer.echo("among its files: report.html")
    if result.status == "killed":
        typer.echo(f"next: the same command {_how_to_go_on(again=again, fresh=fresh)}")
        return
    typer.echo(f"next: {next_command('compare', experiment, of_file)}")
    if not result.has_report:
        typer.echo(f"      {next_command('report', experiment, of_file)}")
    best = result.best.mlflow if result.best else None
    if best and keeps_model(best):
        typer.echo(f"      {predict_command(best, experiment)}  (the best trial)")


def show_command_after_plan(result: GridResult, of_file: Path | None, experiment: str) -> None:
    """Print what a dry run can be followed by."""
    from benchbench.cli.output import next_command

    is_done = all(trial.planned.action == "skip" for trial in result.trials)
    words = next_command("compare", experiment, of_file) if is_done else "the same command without --dry-run"
    typer.echo(f"next: {words}")


def _how_to_go_on(*, again: bool, fresh: bool) -> str:
    from benchbench.cli.output import how_to_resume

    if again and not fresh:
        return "again resumes the interrupted trials, and trains the others once more"
    return how_to_resume(fresh=fresh)


def to_json(result: GridResult, *, dry_run: bool) -> dict[str, Any]:
    """Return all trials, or for a dry run the plan of all, as plain data; ``is_new`` tells those of this call."""
    trials = map(_planned if dry_run else _trial, result.trials)
    design = {"decide": result.progress.to_json()} if result.progress else {}
    answer = {"grid": result.name, "trials": list(trials), **design}
    if dry_run:
        return answer
    run_id = result.run.run_id if result.run else None
    return answer | {"status": result.status, "run_id": run_id, "has_report": result.has_report}


def _row(trial: Trial, names: tuple[str, ...], *, is_best: bool) -> tuple[str, ...]:
    from benchbench.cli.trial_lines import duration
    from benchbench.config.values import value_text

    record, flat = trial.record, trial.spec.flat()
    final = record.final if record else None
    return (
        *(value_text(flat[name]) if name in flat else "" for name in names),
        trial.status,
        f"{final.val_accuracy:.1%}{'*' if is_best else ' '}" if final else "",
        f"{final.test_accuracy:.1%}" if final else "",
        duration(record.times.wall) if record and record.times else "",
    )


def _planned(trial: Trial) -> dict[str, Any]:
    planned = trial.planned
    return {
        "spec_id": trial.spec.id,
        "spec": trial.spec.flat(),
        "data_digest": planned.resolved.data_digest,
        "action": planned.action,
        "why": planned.why,
        "stale": planned.stale,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    if trial.record is None:
        error = trial.error.to_json() if trial.error else None
        return {"spec_id": trial.spec.id, "status": trial.status, "error": error, "is_new": trial.is_new}
    record: dict[str, Any] = json.loads(trial.record.to_json())
    return record | {"is_new": trial.is_new}
