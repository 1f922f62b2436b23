"""Options that several commands share, what is typed for them, and its completion in the shell."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.main import get_command

from benchbench import variables
from benchbench.config import defaults
from benchbench.config.kinds import OPTIONS
from benchbench.errors import BenchError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import JsonValue

    from benchbench.config.kinds import Kind
    from benchbench.driver.study import QuestionOptions

EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}
"""How ``bench`` ends, by how its trials did; wrong usage or input is 2, see :mod:`benchbench.errors`."""

NO_PLUGINS, DEBUG_FLAG = "--no-plugins", "--debug"

Completion = list[tuple[str, str]]


def show_tracebacks(are_shown: bool) -> None:  # noqa: FBT001 - the value of a flag
    """Show tracebacks of this process, as long as it lives, and of those that it starts."""
    if are_shown:
        os.environ[variables.DEBUG] = "1"


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        typer.echo(f"benchbench {importlib.metadata.version('benchbench')}")
        raise typer.Exit


def leave_out_plugins(are_left_out: bool) -> None:  # noqa: FBT001 - the value of a flag
    """Leave out all plugins that are not ours, in this process and in those that it starts."""
    if are_left_out:
        os.environ[variables.NO_PLUGINS] = "1"


Debug = Annotated[
    bool, typer.Option(DEBUG_FLAG, callback=show_tracebacks, expose_value=False, help="Show tracebacks of errors.")
]
NoPlugins = Annotated[
    bool,
    typer.Option(
        NO_PLUGINS,
        callback=leave_out_plugins,
        expose_value=False,
        is_eager=True,
        help="Do not load plugins of other packages or of BENCH_PLUGINS.",
    ),
]


def offer_to_all(command: Any) -> None:
    """Give a command, or every command of a group, the options ``--debug`` and ``--no-plugins`` if it has none such."""
    inner = getattr(command, "commands", {}).values()
    for one in inner:
        offer_to_all(one)
    if not inner:
        taken = {name for param in command.params for name in param.opts}
        command.params += [param for param in _params_of_all() if taken.isdisjoint(param.opts)]


def _params_of_all() -> list[Any]:
    """Return the options as typer builds them from a function: the classes behind differ between typer's versions."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def carry(*, bench_debug: Debug = False, bench_no_plugins: NoPlugins = False) -> None:  # a plugin may have `debug`
        pass

    return list(get_command(app).params)


def completing(kind: Kind) -> Callable[[typer.Context, str], Completion]:
    """Return what completes the names of the plugins of a kind."""

    def complete(ctx: typer.Context, incomplete: str) -> Completion:
        return complete_plugin(kind, ctx, incomplete)

    return complete


def completing_several(kind: Kind) -> Callable[[typer.Context, str], Completion]:
    """Return what completes the last of several names with commas between."""

    def complete_last(ctx: typer.Context, incomplete: str) -> Completion:
        before, comma, last = incomplete.rpartition(",")
        named = before.split(",")
        return [
            (before + comma + name, summary) for name, summary in complete_plugin(kind, ctx, last) if name not in named
        ]

    return complete_last


def complete_plugin(kind: str, ctx: typer.Context, incomplete: str) -> Completion:
    """Return the plugins of a kind whose names start with the typed text, each with its summary."""
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.discovery import loose_files

    try:
        files = loose_files(map(str, ctx.params.get("plugins") or ()))
        catalog = Catalog.kept(files) or Catalog.read(files)  # whoever types waits for no broken plugin
    except BenchError:
        return []
    return [(entry.name, entry.summary) for entry in catalog.of_kind(kind) if entry.name.startswith(incomplete)]


_SHORT_OPTIONS: dict[Kind, tuple[str, ...]] = {"optimizer": ("-o",)}
_PLUGIN_DEFAULTS: dict[Kind, str] = {
    "optimizer": defaults.OPTIMIZER,
    "scheduler": defaults.SCHEDULER,
    "augmentation": "the dataset's",
    "loss": defaults.LOSS,
}


def _flags(kind: Kind) -> tuple[str, ...]:
    return (OPTIONS[kind], *_SHORT_OPTIONS.get(kind, ()))


def plugin_option(kind: Kind, text: str, *, metavar: str | None = None) -> Any:
    """Return the option that names a plugin; ``text`` is its help."""
    return typer.Option(
        *_flags(kind),
        metavar=metavar,
        help=text,
        show_default=_PLUGIN_DEFAULTS[kind],
        autocompletion=completing(kind),
    )


def several_plugins_option(kind: Kind, text: str) -> Any:
    """Return the option that names several plugins with commas between, where a file may name others."""
    return typer.Option(
        *_flags(kind),
        metavar="NAME[,NAME]",
        help=text,
        show_default=f"{_PLUGIN_DEFAULTS[kind]}, or the file's",
        autocompletion=completing_several(kind),
    )


def set_option(text: str, *, metavar: str = "KIND.PARAM=VALUE") -> Any:
    """Return the option ``--set``, which sets parameters of plugins; ``text`` is its help."""
    return typer.Option("--set", metavar=metavar, help=text)


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, everything else on standard error.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugins",
        metavar="PATH",
        help="Another plugin file or folder to load; may be repeated.",
        show_default=False,
    ),
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
    defaults.ArtifactLevel,
    typer.Option("--artifacts", help="What a run keeps: nothing, tables, or figures and the model too."),
]
AccelerateChoice = Annotated[
    defaults.Accelerate,
    typer.Option("--accelerate", help="auto: use faster kernels that give the same results; off: plain PyTorch."),
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Compute with torch.compile: often faster on a GPU, with different rounding."),
]
CheckpointEvery = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-every",
        metavar="SECONDS",
        help="Shortest time between checkpoints, which are written after epochs; 0: after every epoch.",
        min=0,
        show_default="so that writing takes at most 1 % of the time",
    ),
]
KeepCheckpoints = Annotated[
    bool, typer.Option("--keep-checkpoints", help="Keep the last checkpoint of finished trials.")
]
ResumeAnyway = Annotated[
    bool,
    typer.Option("--resume-anyway", help="Resume an interrupted trial even if one of its plugins has changed."),
]

# What to compare: the same in bench compare and bench report.
Experiments = Annotated[str, typer.Argument(help="MLflow experiment to read.", envvar="MLFLOW_EXPERIMENT_NAME")]
Results = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT",
        help="MLflow experiment, or a .bench file that bench export wrote.",
        envvar="MLFLOW_EXPERIMENT_NAME",
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="KEY",
        help="A key whose values make the rows, such as optimizer.lr; may be repeated.",
        show_default="all that varies, except the seed",
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
        help="The row to compare with; repeat it to give several of the row's keys.",
        show_default="the file's, or the first row",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="METRIC=VALUE",
        help="Also compare how many epochs and seconds it takes to reach this value.",
        show_default=False,
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence", help="Confidence level of intervals and verdicts.", show_default=str(defaults.CONFIDENCE)
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="POINTS",
        show_default=False,
        help="Also test whether accuracies are the same within this many points, such as 0.5.",
    ),
]
Population = Annotated[
    bool,
    typer.Option(
        "--population",
        help="Also estimate the differences on new images of the same kind, from the predictions for the test images.",
    ),
]
StudyFile = Annotated[
    Path | None,
    typer.Option(
        "--grid",
        metavar="FILE",
        show_default=False,
        help="Compare the trials of this file as its [compare] says; without trials in it, the whole experiment.",
    ),
]


def settings_of(texts: Iterable[str] | None) -> dict[str, str]:
    """Return what ``--set`` was given, such as ``{"optimizer.lr": "0.1"}``; the last of a name counts."""
    from benchbench.config.spec import parse_setting

    return dict(map(parse_setting, texts or ()))


def question_of(
    by: Sequence[str] | None,
    metrics: Sequence[str] | None,
    baseline: Sequence[str] | None,
    targets: Sequence[str] | None,
    confidence: float | None,
    margin: float | None,
) -> QuestionOptions:
    """Return what is to be compared, as :func:`~benchbench.driver.compare.compare` takes it."""
    pairs = [_pair(text, "--baseline", "optimizer.lr=0.001") for text in baseline or ()]
    numbers = [_pair(text, "--target", "val_accuracy=0.5") for text in targets or ()]
    return {
        "by": by or (),
        "metrics": metrics or (),
        "baseline": {key: _json(value) for key, value in _once(pairs, "--baseline")},
        "targets": {key: _number(value, key) for key, value in _once(numbers, "--target")},
        "confidence": confidence,
        "margin": margin,
    }


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (equals and key.strip() and value.strip()):
        raise SpecError(f"{option} {text!r} is not KEY=VALUE", hint=f"such as {option} {example}")
    return key.strip(), value.strip()


def _once(pairs: Sequence[tuple[str, str]], option: str) -> Sequence[tuple[str, str]]:
    """Return the pairs; raises :class:`SpecError` for a key that has two values."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise SpecError(f"{option} {key} is given twice", hint="compare with the other value in a second call")
    return pairs


def _json(text: str) -> JsonValue:
    """Return the value of a typed text: a number, true, a list, or else the text itself."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def decay(text: str | None) -> float | Literal["none"] | None:
    """Return the value of ``--ema-decay``."""
    if text is None or text == "none":
        return "none" if text else None
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"--ema-decay {text!r} is not a number", hint="such as 0.999, or none") from None


def _number(text: str, metric: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"--target {metric}: {text!r} is not a number", hint="such as val_accuracy=0.5") from None
