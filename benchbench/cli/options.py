"""Options that several commands share, declared once."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from benchbench.protocol.jobs import ArtifactLevel

EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}
"""How ``bench`` ends, by how its trials did; wrong usage or input is 2, see :mod:`benchbench.errors`."""

debug = False
"""Whether tracebacks are shown; set by ``--debug`` on any command."""


def _set_debug(value: bool) -> None:  # noqa: FBT001 - typer's signature
    global debug  # noqa: PLW0603 - main reads it after the command has failed
    debug = debug or value


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        typer.echo(f"benchbench {importlib.metadata.version('benchbench')}")
        raise typer.Exit


Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show tracebacks of errors.")]
Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, everything else on standard error.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugins", help="A plugin file or folder to load as well; may be repeated.", show_default=False),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="[NAME=]PATH",
        help="Where the images are, for all datasets or for one; may be repeated.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Experiment = Annotated[str, typer.Option("--experiment", help="MLflow experiment.", envvar="MLFLOW_EXPERIMENT_NAME")]
Artifacts = Annotated[
    str, typer.Option("--artifacts", help="What a run keeps: none, light (tables) or full (figures, model).")
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Train through torch.compile: faster on a GPU once compiled, rounded otherwise."),
]
CheckpointEvery = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-every",
        metavar="SECONDS",
        help="Write a checkpoint when this has passed since the last, at the end of an epoch; 0: every epoch.",
        min=0,
        show_default="60, or more where that costs over 1 %",
    ),
]
KeepCheckpoints = Annotated[
    bool, typer.Option("--keep-checkpoints", help="Keep the last checkpoint of trials that finished.")
]

# What to compare: the same in bench compare and bench report.
Experiments = Annotated[
    str, typer.Argument(help="MLflow experiment whose trials are compared.", envvar="MLFLOW_EXPERIMENT_NAME")
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="KEY",
        help="What makes a row, such as optimizer.lr; may be repeated.",
        show_default="all that varies but the seed",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="What to compare; may be repeated.", show_default="test_accuracy"),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="KEY=VALUE",
        help="The row to compare with; may be repeated.",
        show_default="the row that began first",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="METRIC=VALUE",
        help="Compare the epochs and seconds to reach this as well.",
        show_default=False,
    ),
]
Confidence = Annotated[
    float | None, typer.Option("--confidence", help="Of intervals and verdicts.", show_default="0.95")
]
StudyFile = Annotated[
    Path | None,
    typer.Option(
        "--grid",
        metavar="FILE",
        show_default=False,
        help="A grid file: its trials alone, its question, its published results.",
    ),
]


def artifact_level(text: str) -> ArtifactLevel:
    """Return the level of that name, or raise :class:`~benchbench.errors.SpecError`."""
    levels = ("none", "light", "full")
    if text not in levels:
        raise SpecError(f"--artifacts {text!r}: choose from {', '.join(levels)}", hint=closest(text, levels))
    return cast("ArtifactLevel", text)
