"""``bench time``: how long an epoch takes, and which of several variants is faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.config import defaults
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import counted

if TYPE_CHECKING:
    from benchbench.compare.timing_ratios import TimedRow, TimedTable
    from benchbench.protocol.timing_messages import Timing

_MEGABYTE = 1e6
_METHODS = {
    "Student's t": "geometric means of the rounds' ratios, intervals by Student's t",
    "bootstrap": "medians of the rounds' ratios, intervals by percentile bootstrap",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("time", short_help="Measure which variant is faster.")(time)


def time(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    file_or_model: Annotated[
        str,
        typer.Argument(
            help="A grid file, or model plugins separated by commas.",
            autocompletion=options.completing_several("model"),
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Argument(help="Dataset plugin, if no file is given.", autocompletion=options.completing("dataset")),
    ] = None,
    optimizer: Annotated[str | None, options.several_plugins_option("optimizer", "Optimizer plugins.")] = None,
    scheduler: Annotated[str | None, options.several_plugins_option("scheduler", "Scheduler plugins.")] = None,
    augment: Annotated[
        str | None,
        options.several_plugins_option("augmentation", "Augmentation plugins; NAME+NAME applies both."),
    ] = None,
    loss: Annotated[str | None, options.several_plugins_option("loss", "Loss plugins.")] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            "--batch-size",
            "-b",
            metavar="N[,N]",
            help="Images per step.",
            show_default=f"{defaults.BATCH_SIZE}, or the file's",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="NAME[,NAME]",
            help="fp32, tf32 or bf16.",
            show_default=f"{defaults.PRECISION}, or the file's",
        ),
    ] = None,
    accelerate: Annotated[
        str,
        typer.Option(
            "--accelerate", metavar="NAME[,NAME]", help="auto, off (plain PyTorch), or auto,off to compare them."
        ),
    ] = defaults.ACCELERATE,
    settings: Annotated[
        list[str] | None,
        options.set_option("Set a parameter in every variant; may be repeated."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="NAME", help="The variant to compare with.", show_default="the file's, or the first"
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="KEY",
            help="A key in which the variants may differ, needed if they differ in several; may be repeated.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Measurements of each variant.")] = 10,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            help="Measure this many training steps, without validation.",
            show_default="a whole epoch with its validation",
        ),
    ] = None,
    device: options.Device = defaults.DEVICE,
    data: options.Data = None,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Time an epoch of each variant, in interleaved rounds in one process, and say which is faster.

    For example: bench time alexnet digits --optimizer sgd,adam --steps 20
    """
    from rich.console import Console

    from benchbench.cli.displays import TimingDisplay
    from benchbench.cli.output import print_json
    from benchbench.data.locations import parse_data_options
    from benchbench.driver.interrupts import result_so_far
    from benchbench.driver.time import time as measure
    from benchbench.tracking import how_to_open

    with TimingDisplay(Console(stderr=as_json, highlight=False)) as display:
        result, is_interrupted = result_so_far(
            lambda: measure(
                file_or_model,
                dataset,
                optimizer=optimizer,
                scheduler=scheduler,
                augmentation=augment,
                loss=loss,
                batch_size=batch_size,
                precision=precision,
                accelerate=accelerate,
                set=options.settings_of(settings),
                baseline=baseline,
                by=by or (),
                rounds=rounds,
                steps=steps,
                device=device,
                data=parse_data_options(data or ()),
                experiment=experiment,
                plugins=plugins or (),
                watcher=display,
            )
        )
    if as_json:
        print_json(result.to_json())
    else:
        if result.headline:
            typer.echo(result.headline)
        print_timings(result.timing, result.table)
        if result.run:
            typer.echo(how_to_open(result.run))
    raise typer.Exit(options.EXIT_CODES["killed" if is_interrupted else "finished"])


def print_timings(timing: Timing, table: TimedTable) -> None:
    """Print a row for each variant, the verdicts, how they were made, and the warnings."""
    from benchbench.cli.output import print_lines, print_table
    from benchbench.compare.formatting import percent
    from benchbench.report.timing_data import measurement_text, timing_warnings

    method = timing.warmed[0].memory_method
    numbers = ("seconds per epoch", "middle half", "images/s", f"memory, MB ({method})")
    ratio = f"ratio [{percent(table.confidence)}]"
    rows = [_row(timing, row, variant) for variant, row in enumerate(table.rows)]
    print_table(("variant", *numbers, ratio), rows, numbers=numbers, unbroken=(ratio,))
    for row in table.rows:
        if row.ratio:
            print_lines((row.verdict,), "table")
    machine = timing.warmed[0].started.machine
    rounds = f"n = {table.n} interleaved rounds, each {measurement_text(timing)}"
    below = (
        f"{rounds}; ratios of times to {table.baseline}: {_METHODS[table.method]}",
        *(f"warning: {warning}" for warning in timing_warnings(timing)),
        f"{machine.device}, {machine.device_name or machine.processor}, {counted(machine.num_threads, 'thread')}",
    )
    print_lines(below, "table")


def _row(timing: Timing, row: TimedRow, variant: int) -> tuple[str, ...]:
    from benchbench.report.timing_data import images_per_second

    ratio = f"{row.ratio.estimate:.3f}" if row.ratio else "baseline"
    if row.ratio and row.ratio.interval:
        ratio += f" [{row.ratio.interval.low:.3f}, {row.ratio.interval.high:.3f}]"
    return (
        row.name,
        f"{row.median:.4g}",
        f"{row.middle_half.low:.4g} .. {row.middle_half.high:.4g}",
        f"{images_per_second(timing, variant):,.0f}",
        f"{timing.warmed[variant].peak_memory_bytes / _MEGABYTE:,.0f}",
        ratio,
    )
