"""``bench run``: train one model on one dataset, once."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli import options
from benchbench.config import defaults
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import SpecError, plain
from benchbench.plugin.names import is_file, is_shipped
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.tracebacks import is_debugging

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from benchbench.records.events import Times
    from benchbench.records.record import Record


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    model: Annotated[
        str | None, typer.Argument(help="A model; see bench list models.", autocompletion=options.completing("model"))
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Argument(help="A dataset; see bench list datasets.", autocompletion=options.completing("dataset")),
    ] = None,
    optimizer: Annotated[str | None, options.plugin_option("optimizer", "Optimizer plugin.")] = None,
    scheduler: Annotated[str | None, options.plugin_option("scheduler", "Scheduler plugin.")] = None,
    augment: Annotated[
        list[str] | None,
        options.plugin_option(
            "augmentation",
            "Augmentation plugin; repeat it to apply several, one after the other.",
            metavar="NAME",
        ),
    ] = None,
    loss: Annotated[str | None, options.plugin_option("loss", "Loss plugin.")] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", "-e", help="Passes over the training images.", show_default=str(defaults.EPOCHS)),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Images per step.", show_default=str(defaults.BATCH_SIZE))
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            "-s",
            help="Seed of weights, data order, augmentation and dropout.",
            show_default=str(defaults.SEED),
        ),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Same as --set optimizer.lr=VALUE.")] = None,
    momentum: Annotated[
        float | None, typer.Option("--momentum", help="Same as --set optimizer.momentum=VALUE.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Same as --set optimizer.weight_decay=VALUE.")
    ] = None,
    settings: Annotated[list[str] | None, options.set_option("Set a plugin's parameter; may be repeated.")] = None,
    device: options.Device = defaults.DEVICE,
    precision: Annotated[
        defaults.Precision | None,
        typer.Option("--precision", help="Precision of training and evaluation.", show_default=defaults.PRECISION),
    ] = None,
    ema_decay: Annotated[
        str | None,
        typer.Option(
            "--ema-decay",
            metavar="VALUE|none",
            help="Test a moving average of the weights with this decay, such as 0.999; none: no average.",
        ),
    ] = None,
    select: Annotated[
        defaults.Select | None,
        typer.Option(
            "--select",
            help="Network to test: of the last epoch, or of the one with the best validation accuracy.",
            show_default=defaults.SELECT,
        ),
    ] = None,
    data: options.Data = None,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    plugins: options.Plugins = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec", metavar="FILE", help="A TOML file to start from, such as a run's spec.toml; options override it."
        ),
    ] = None,
    artifacts: options.Artifacts = defaults.ARTIFACTS,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming.")] = False,
    resume_anyway: options.ResumeAnyway = False,
    accelerate: options.AccelerateChoice = defaults.ACCELERATE,
    compiled: options.Compile = False,
    checkpoint_every: options.CheckpointEvery = None,
    keep_checkpoints: options.KeepCheckpoints = False,
    as_json: options.Json = False,
) -> None:
    """Train MODEL on DATASET and track it in MLflow.

    For example: bench run alexnet digits --optimizer adam --epochs 4
    """
    from rich.console import Console

    from benchbench.cli.displays import RunDisplay
    from benchbench.cli.output import print_json
    from benchbench.data.locations import parse_data_options
    from benchbench.driver.interrupts import result_so_far
    from benchbench.driver.run import run as train

    short_forms = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    short: dict[str, Any] = {f"optimizer.{name}": value for name, value in short_forms.items() if value is not None}
    given = options.settings_of(settings)
    for key in short.keys() & given.keys():
        raise SpecError(f"{key} is set twice", hint=f"give either --{key.partition('.')[2].replace('_', '-')} or --set")
    console = Console(stderr=as_json, highlight=False)
    with RunDisplay(console) as display:
        record, is_interrupted = result_so_far(
            lambda: train(
                model,
                dataset,
                optimizer=optimizer,
                scheduler=scheduler,
                augmentation=augment,
                loss=loss,
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
                precision=precision,
                ema_decay=options.decay(ema_decay),
                select=select,
                set=short | given,
                spec=spec,
                fresh=fresh,
                resume_anyway=resume_anyway,
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
    show_end(record, console)
    keeps_model = file_names.MODEL_FOLDER in kept_at(artifacts)
    show_next_commands(record, console, experiment=experiment, keeps_model=keeps_model, fresh=fresh)
    if as_json:
        print_json(json.loads(record.to_json()))
    raise typer.Exit(options.EXIT_CODES["killed" if is_interrupted else record.status])


def show_end(record: Record, console: Console) -> None:
    """Print what a trial came to: accuracies, accuracy per class, times, and the line that opens it in MLflow."""
    from rich.text import Text

    from benchbench.compare.guessing import is_better_than_guessing
    from benchbench.tracking import how_to_open

    if record.final is not None:
        console.print(per_class_table(record))
        final = record.final
        # Of five classes or fewer, every one is among the top 5.
        has_top5 = len(final.test_accuracy_per_class) > 5  # noqa: PLR2004 - as above
        console.print(
            f"accuracy: train {final.train_accuracy:.1%}  val {final.val_accuracy:.1%}  test {final.test_accuracy:.1%}"
            + (f"  (top 5: {final.test_top5_accuracy:.1%})" if has_top5 else ""),
            style="bold",
        )
        overfits = f", overfits from epoch {final.overfit_epoch}" if final.overfit_epoch else ""
        console.print(f"lowest validation loss in epoch {final.best_val_loss_epoch}{overfits}")
        if record.spec.select != "last":
            console.print(f"evaluated: the network of epoch {final.selected_epoch}")
        if not is_better_than_guessing(record):
            _show_advice(record, console)
    if record.times is not None:
        console.print(times_line(record.times))
    for note in record.notes:
        console.print(Text(plain(f"note: {note}")))
    if record.error is not None:
        console.print(Text(plain(f"{record.status}: {record.error.message}"), style="bold"), soft_wrap=True)
        for line in record.error.hint.splitlines():
            console.print(Text(plain(f"  {line}")), soft_wrap=True)
        if is_debugging() and record.error.traceback:
            console.print(Text(record.error.traceback), soft_wrap=True)
    if record.mlflow is not None:
        console.print(Text(how_to_open(record.mlflow)), soft_wrap=True)


def _show_advice(record: Record, console: Console) -> None:
    """Print what to do about a trial that is no better than guessing."""
    from rich.text import Text

    from benchbench.compare.guessing import guessing

    console.print(
        f"the test accuracy is not clearly better than guessing, {guessing(record)}:"
        " train longer, check the images, or test on more of them"
    )
    origin = record.plugin_origins["model"]
    if not is_shipped(origin):
        checked = shlex.quote(plain(origin if is_file(origin) else record.spec.model.name))
        console.print(Text(f"  or look for mistakes in the model: bench plugin check {checked}"), soft_wrap=True)


def show_next_commands(
    record: Record, console: Console, *, experiment: str, keeps_model: bool, fresh: bool = False
) -> None:
    """Print the commands that a trial can be followed by: one that finished, or one that was interrupted."""
    from rich.text import Text

    from benchbench.cli.output import how_to_resume, next_command, predict_command
    from benchbench.records.events import MODEL_NOT_SAVED

    if record.status == "killed":
        console.print(f"next: the same command {how_to_resume(fresh=fresh)}")
    if record.status != "finished" or record.mlflow is None:
        return
    lines = [f"{next_command('compare', experiment, None)}  (after trials with other seeds or options)"]
    if keeps_model and not any(note.startswith(MODEL_NOT_SAVED) for note in record.notes):
        lines.insert(0, predict_command(record.mlflow, experiment))
    console.print(Text("next: " + "\n      ".join(lines)), soft_wrap=True)


def per_class_table(record: Record) -> Table:
    """Return test accuracy per class, in the order of the classes."""
    from rich.table import Table
    from rich.text import Text

    assert record.final is not None  # noqa: S101 - asked for finished trials only
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("test accuracy", justify="right", no_wrap=True)
    table.add_column("")
    for class_name, accuracy in record.final.test_accuracy_per_class.items():
        table.add_row(Text(plain(class_name)), f"{accuracy:.1%}", "#" * round(20 * accuracy))
    return table


def times_line(times: Times) -> str:
    """Return where the time went, phase by phase."""
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in times.by_phase().items() if seconds)
    return f"time: {times.wall:.1f} s ({parts})"
