"""``bench time``: how long an epoch takes, and which of several variants is faster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli import options
from benchbench.cli.plugins import complete_dataset, complete_model, complete_optimizer, complete_several
from benchbench.errors import SpecError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("time")(time)


def time(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    file_or_model: Annotated[
        str,
        typer.Argument(
            help="A grid file, or a model plugin; several with commas between.",
            autocompletion=complete_several(complete_model),
        ),
    ],
    dataset: Annotated[
        str | None, typer.Argument(help="Dataset plugin, where no file is given.", autocompletion=complete_dataset)
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            "-o",
            metavar="NAME[,NAME]",
            help="Optimizer plugins.",
            show_default="sgd, or the file's",
            autocompletion=complete_several(complete_optimizer),
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option("--batch-size", "-b", metavar="N[,N]", help="Images a step.", show_default="32, or the file's"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="NAME[,NAME]", help="fp32, tf32 or bf16.", show_default="fp32, or the file's"
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KIND.PARAM=VALUE", help="Set a parameter in every variant; may be repeated."),
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
            help="What the variants may differ in, where that is more than one thing; may be repeated.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Turns of each variant that are timed.")] = 10,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            help="Time this many training steps a turn, without validation.",
            show_default="a whole epoch with its validation",
        ),
    ] = None,
    device: options.Device = "auto",
    data: options.Data = None,
    experiment: options.Experiment = "bench",
    plugins: options.Plugins = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Write a file that pytest-benchmark compare reads."),
    ] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Time an epoch of each variant, by turns in one process, and say which is faster.

    For example: bench time alexnet digits --optimizer sgd,adam --steps 20
    """
    if steps is not None and steps < 1:
        raise SpecError(f"--steps {steps}: a turn takes one step at least", hint="without --steps it is a whole epoch")
    from benchbench.cli.timed import Plan, run_timing
    from benchbench.cli.variants import Words, read_variants
    from benchbench.compare.timings import check_rounds
    from benchbench.driver.session import Options

    check_rounds(rounds)
    if save is not None and not save.parent.is_dir():
        raise SpecError(f"--save {save}: no such folder: {save.parent}", hint="make it first")
    if save is not None and save.is_dir():
        raise SpecError(f"--save {save}: it is a folder", hint=f"--save {save / 'timing.json'}")
    words = Words(file_or_model, dataset, optimizer, batch_size, precision, tuple(settings or ()))
    run_timing(
        read_variants(words),
        Options(
            device=device,
            data=tuple(data or ()),
            experiment=experiment,
            plugin_files=tuple(map(str, plugins or ())),
        ),
        Plan(by=tuple(by or ()), baseline=baseline, rounds=rounds, steps=steps, save=save, as_json=as_json),
    )
