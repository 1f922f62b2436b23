"""``bench run``: train one model on one dataset, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli import options
from benchbench.cli.plugins import complete_dataset, complete_model, complete_optimizer, complete_scheduler
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from benchbench.config.spec import Draft

KINDS = ("model", "dataset", "optimizer", "scheduler")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(  # noqa: PLR0913 - one argument for each option, as typer wants it
    *,
    model: Annotated[
        str | None, typer.Argument(help="Model plugin; bench list models.", autocompletion=complete_model)
    ] = None,
    dataset: Annotated[
        str | None, typer.Argument(help="Dataset plugin; bench list datasets.", autocompletion=complete_dataset)
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer", "-o", help="Optimizer plugin.", show_default="sgd", autocompletion=complete_optimizer
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", help="Scheduler plugin.", show_default="constant", autocompletion=complete_scheduler
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", "-e", help="Passes over the training images.", show_default="10")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", help="Images a step.", show_default="32")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", "-s", help="Of weights, data order, flips and dropout.", show_default="0")
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Same as --set optimizer.lr=VALUE.")] = None,
    momentum: Annotated[
        float | None, typer.Option("--momentum", help="Same as --set optimizer.momentum=VALUE.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Same as --set optimizer.weight_decay=VALUE.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KIND.PARAM=VALUE", help="Set a plugin's parameter; may be repeated."),
    ] = None,
    device: options.Device = "auto",
    precision: Annotated[
        str | None, typer.Option("--precision", help="fp32, tf32 or bf16.", show_default="fp32")
    ] = None,
    data: options.Data = None,
    experiment: options.Experiment = "bench",
    plugins: options.Plugins = None,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", help="A TOML file to begin from, such as a run's spec.toml; options override it."),
    ] = None,
    artifacts: options.Artifacts = "full",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, also where the trial was interrupted.")] = False,
    compiled: options.Compile = False,
    checkpoint_every: options.CheckpointEvery = None,
    keep_checkpoints: options.KeepCheckpoints = False,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Train MODEL on DATASET and track it in MLflow.

    For example: bench run alexnet digits --optimizer adam --lr 0.0003 --epochs 4
    """
    table = _read_spec(spec)
    for kind, name in zip(KINDS, (model, dataset, optimizer, scheduler), strict=True):
        _name_plugin(table, kind, name)
    given = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "precision": precision}
    table |= {key: value for key, value in given.items() if value is not None}
    table["plugins"] = [*table.get("plugins", []), *map(str, plugins or ())]
    short_forms = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    settings = [
        *(f"optimizer.{key}={value!r}" for key, value in short_forms.items() if value is not None),
        *(settings or ()),
    ]
    draft = _draft(table, settings)

    from benchbench.cli.single import run_single
    from benchbench.driver.plan import Rules
    from benchbench.driver.session import Options

    run_single(
        draft,
        Options(
            device=device,
            data=tuple(data or ()),
            experiment=experiment,
            artifacts=options.artifact_level(artifacts),
            rules=Rules(again=True, fresh=fresh),
            compiled=compiled,
            checkpoint_every_seconds=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
        ),
        as_json=as_json,
    )


def _read_spec(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from benchbench.config.spec import read_toml

    return read_toml(path)


def _name_plugin(table: dict[str, Any], kind: str, name: str | None) -> None:
    """Put a plugin's name from the command line into the table; another plugin's parameters go."""
    if name is None:
        if kind in ("model", "dataset") and kind not in table:
            raise SpecError(
                f"no {kind} given",
                hint=f"bench run MODEL DATASET, such as: bench run alexnet digits  (bench list {kind}s)",
            )
        return
    before = table.get(kind)
    if not (isinstance(before, dict) and before.get("name") == name):
        table[kind] = name


def _draft(table: dict[str, Any], settings: list[str]) -> Draft:
    from benchbench.config.spec import Draft, read_settings

    return Draft.from_toml(table).with_texts(read_settings(settings))
