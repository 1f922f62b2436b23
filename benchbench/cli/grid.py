"""``bench grid``: run all trials of a TOML file that are not done yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from benchbench.cli import options
from benchbench.errors import SpecError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("grid")(grid)


def grid(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A grid file, such as experiments/grid.toml.")],
    num_jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Trials at a time.", show_default="1, or one a GPU")
    ] = None,
    executor: Annotated[str, typer.Option("--executor", help="Where trials run: local or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="Ray cluster; without it Ray is started on this machine.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be done, and how long it may take.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say of each trial why it is run or not.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Go on after a failed trial, or start no more.")
    ] = True,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", min=1, help="Start no more trials after this many have failed.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat finished trials, as new runs.")] = False,
    rerun_stale: Annotated[
        bool, typer.Option("--rerun-stale", help="Repeat trials that finished with other code or packages.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start interrupted trials anew.")] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Take more than 10,000 trials; leave interrupted ones that FILE has no more behind."
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KIND.PARAM=VALUE", help="Set a parameter in every trial; may be repeated."),
    ] = None,
    device: options.Device = "auto",
    precision: Annotated[str | None, typer.Option("--precision", help="Override the file's precision.")] = None,
    data: options.Data = None,
    experiment: options.Experiment = "bench",
    plugins: options.Plugins = None,
    artifacts: Annotated[
        str,
        typer.Option(
            "--artifacts", help="What runs keep: none, light (tables; the best trial all) or full (figures, model)."
        ),
    ] = "light",
    compiled: options.Compile = False,
    checkpoint_every: options.CheckpointEvery = None,
    keep_checkpoints: options.KeepCheckpoints = False,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Run the trials of FILE: skip those that are done, take up those that were interrupted, run the rest."""
    if executor not in ("local", "ray"):
        raise SpecError(f"--executor {executor!r}: choose from local, ray")
    from benchbench.cli.many import GridOptions, run_grid
    from benchbench.config import grid_file
    from benchbench.driver.plan import Rules
    from benchbench.driver.session import Options

    given = {} if precision is None else {"precision": precision}
    run_grid(
        grid_file.load(file, settings or (), given=given),
        Options(
            device=device,
            data=tuple(data or ()),
            experiment=experiment,
            artifacts=options.artifact_level(artifacts),
            rules=Rules(again=again, rerun_stale=rerun_stale, fresh=fresh),
            compiled=compiled,
            checkpoint_every_seconds=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
            plugin_files=tuple(map(str, plugins or ())),
            num_jobs=num_jobs,
            executor=cast("Literal['local', 'ray']", executor),
            address=address,
        ),
        GridOptions(
            dry_run=dry_run,
            verbose=verbose,
            max_failures=max_failures if keep_going else 1,
            yes=yes,
            as_json=as_json,
        ),
    )
