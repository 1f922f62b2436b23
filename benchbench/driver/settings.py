"""Where and how trials run: everything that is not part of a spec."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args, get_origin

from pydantic import Field

from benchbench.config import defaults
from benchbench.config.kinds import KINDS
from benchbench.config.training_options import TrainingOptions
from benchbench.config.validation import AnyTable, Table, read_table
from benchbench.config.values import value_text
from benchbench.driver.plan import Rules
from benchbench.errors import SpecError, closest
from benchbench.paths import expanded
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pydantic import JsonValue


class TrialOptions(TypedDict, total=False):
    """Optional arguments that :func:`~benchbench.driver.run.run` and ``grid`` share.

    ``device``: ``auto`` (the default), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. ``data``: where the images are, one
    path for all datasets or a path by dataset. ``experiment``: the MLflow experiment; ``MLFLOW_EXPERIMENT_NAME`` or
    ``bench``. ``plugins``: files or folders to load as well, one or several. ``artifacts``: what a run keeps, ``none``,
    ``light`` (tables) or ``full`` (figures and the model). ``accelerate``: ``auto``, or ``off`` for plain PyTorch.
    ``compile``: train through ``torch.compile``. ``checkpoint_every``: seconds between checkpoints, 0 for every
    epoch. ``keep_checkpoints``: keep the last checkpoint of finished trials.
    """

    device: str
    data: str | Path | Mapping[str, str | Path]
    experiment: str
    plugins: str | Path | Sequence[str | Path]
    artifacts: defaults.ArtifactLevel
    accelerate: defaults.Accelerate
    compile: bool
    checkpoint_every: float | None
    keep_checkpoints: bool


class Settings(Table):
    """What :class:`TrialOptions` and the options of ``grid`` ask for, with paths resolved and defaults filled in."""

    training: TrainingOptions
    data: dict[str, Path]
    experiment: str
    plugin_files: tuple[str, ...]
    rules: Rules
    keep_checkpoints: bool = False
    jobs: int | None = Field(None, ge=1)
    max_failures: int | None = Field(None, ge=1)
    executor: defaults.ExecutorName = "local"
    address: str | None = None

    @property
    def plugin_paths(self) -> tuple[str, ...]:
        """Return the absolute paths of the plugin files, which hold in any folder and for any user."""
        return tuple(str(expanded(file).absolute()) for file in self.plugin_files)

    @staticmethod
    def of(
        options: TrialOptions, *, plugins: Sequence[str] = (), rules: Rules | None = None, **more: object
    ) -> Settings:
        """Return the settings of a call; ``plugins`` are those that the trials name themselves.

        Raises :class:`~benchbench.errors.SpecError` for an invalid value.
        """
        given: dict[str, Any] = {**options, **more}
        paths = {
            "data": data_paths(given.pop("data", None)),
            "plugin_files": loose_files((*plugins, *texts_of(given.pop("plugins", None)))),
        }
        given["experiment"] = given.get("experiment") or defaults.default_experiment()
        given = {name: _plain(value) for name, value in given.items()}
        training = {name: given.pop(name) for name in TrainingOptions.model_fields if name in given}
        settings = _read(
            Settings, {"training": _read(TrainingOptions, training), "rules": rules or Rules(), **paths, **given}
        )
        _check_executor(settings)
        return settings


def _read(cls: type[AnyTable], options: dict[str, Any]) -> AnyTable:
    """Return options as an object of their class, and suggest the closest of a fixed set of choices."""
    for name, field in cls.model_fields.items():
        if name in options and get_origin(field.annotation) is Literal:
            check_choice(name, options[name], get_args(field.annotation))
    return read_table(cls, options)


def _check_executor(settings: Settings) -> None:
    device = settings.training.device
    if settings.address is not None and settings.executor != "ray":
        raise SpecError("--address needs --executor ray")
    if settings.executor == "ray" and device.startswith("cuda:"):
        raise SpecError(f"--device {device}: Ray chooses the GPU of each trial", hint="--device cuda")


def refuse_unknown_arguments(function: Callable[..., object], options: TrialOptions) -> None:
    """Raise :class:`TypeError` for an option that is none, with what ``function`` takes instead."""
    arguments = [name for name in inspect.signature(function).parameters if name != "options"]
    refuse_unknown_options(options, (*arguments, *TrialOptions.__annotations__), hint=_setting_hint)


def _setting_hint(name: str) -> str:
    """Return how to set the parameter of plugins that has this name, or nothing if none has."""
    plugins = Catalog.read().entries
    kinds = [
        kind
        for kind in KINDS
        if any(name == param.name for plugin in plugins if plugin.kind == kind for param in plugin.params)
    ]
    settings = " or ".join(f'set={{"{kind}.{name}": ...}}' for kind in kinds)
    return f"did you mean {settings}?" if settings else ""


def refuse_unknown_options(
    options: Mapping[str, object], known: Collection[str], *, hint: Callable[[str], str] = lambda _: ""
) -> None:
    """Raise :class:`TypeError` with a hint if an option is unknown, as Python does for a keyword.

    Without a hint of the caller's, it is the closest known option.
    """
    for name in options:
        if name not in known:
            near = hint(name) or closest(name, known) or f"options: {', '.join(known)}"
            raise TypeError(f"there is no option {name!r}; {near}")


def texts_of(values: str | Path | Iterable[str | Path] | None) -> tuple[str, ...]:
    """Return several values as texts; a single one is the only one, and an empty one or None is none."""
    if isinstance(values, str | Path):
        return (str(values),) if values else ()
    return () if values is None else tuple(map(str, values))


def data_paths(data: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    """Return the path of the images by dataset; the name of one path for all is empty."""
    if data is None:
        return {}
    paths = {"": data} if isinstance(data, str | Path) else data
    return {name: expanded(path) for name, path in paths.items()}


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise :class:`~benchbench.errors.SpecError` for a value that is none of the choices."""
    if value not in choices:
        raise SpecError(f"{name} {value!r}: choose from {', '.join(choices)}", hint=closest(value, choices))


def setting_texts(settings: Mapping[str, object] | None) -> dict[str, str]:
    """Return the values as one would type them for ``--set``: ``{"optimizer.lr": 0.01}`` gives ``"0.01"`` for it."""
    return {str(key): _text(value) for key, value in (settings or {}).items()}


def _text(value: object) -> str:
    """Return a value as one would type it."""
    plain = _plain(value)
    return value_text(plain) if plain is None or isinstance(plain, bool | list | dict) else str(plain)


def _plain(value: object) -> JsonValue:
    """Return a value of Python as one of TOML: numbers of numpy's as numbers, and what TOML lacks as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)
