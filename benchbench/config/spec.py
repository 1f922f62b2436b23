"""Drafts and specs of trials: what a user asked for, and the same with every default written out.

A :class:`Draft` comes from TOML and the command line and names its plugins. ``Registry.resolve`` makes a :class:`Spec`
of it, which is plain data and identifies the trial.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import tomli_w
from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from benchbench.config import defaults
from benchbench.config.composition import DEFAULT, as_one, split, with_default
from benchbench.config.kinds import KINDS, Kind
from benchbench.config.validation import (
    Table,
    axis_hint,
    describe_errors,
    describe_validation,
    refuse_unknown_keys,
)
from benchbench.config.values import value_text
from benchbench.errors import SpecError, closest, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

EmaDecay = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | None, BeforeValidator(lambda value: None if value == "none" else value)
]


class PluginDraft(Table):
    """One plugin as asked for: typed parameters from TOML, and texts from ``--set`` that override them."""

    model_config = ConfigDict(allow_inf_nan=True)  # the plugin checks its parameters

    name: str
    params: dict[str, JsonValue] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def from_toml(cls, value: object, *, kind: Kind) -> Self:
        """Read ``"sgd"`` or ``{ name = "sgd", lr = 0.1 }``, or a list of those if the kind composes."""
        value = as_one(value, kind=kind)
        if isinstance(value, str):
            return cls(name=value)
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            params = {key: value[key] for key in value if key != "name"}
            try:
                return cls(name=value["name"], params=params)
            except ValidationError as error:
                details = error.errors(include_url=False)
                raise SpecError(describe_errors(details, name_of=lambda loc: f"{kind}.{loc[1]}")) from None
        usage = f'{kind} = "NAME"  or  {kind} = {{ name = "NAME", PARAMETER = VALUE }}'
        axis = f"to try each of them: {kind} = {{ grid = {value_text(cast('JsonValue', value))} }}"
        raise SpecError(
            f"{kind} must be a name or a table with a name, not {value!r}",
            hint=axis if value and isinstance(value, list) else usage,
        )

    def with_default(self, name: str) -> Self:
        """Return the draft of an augmentation with ``name``, which the dataset names, for ``default``."""
        named, params = with_default(self.name, self.params, name)
        _, texts = with_default(self.name, self.texts, name)
        return self.model_copy(update={"name": named, "params": params, "texts": texts})


class Draft(Table):
    """A trial as asked for, before its plugins are loaded. Its defaults are those of ``bench run``."""

    dataset: PluginDraft
    augmentation: PluginDraft = PluginDraft(name=DEFAULT)
    model: PluginDraft
    loss: PluginDraft = PluginDraft(name=defaults.LOSS)
    optimizer: PluginDraft = PluginDraft(name=defaults.OPTIMIZER)
    scheduler: PluginDraft = PluginDraft(name=defaults.SCHEDULER)
    epochs: int = Field(defaults.EPOCHS, ge=1, description="passes over the training images")
    batch_size: int = Field(defaults.BATCH_SIZE, ge=1, description="images per step")
    seed: int = Field(
        defaults.SEED, ge=0, lt=2**63, description="seed of weights, data order, augmentation and dropout"
    )
    precision: defaults.Precision = Field(defaults.PRECISION, description="fp32, tf32 (CUDA) or bf16 (mixed)")
    ema_decay: EmaDecay = Field(None, description="test a moving average of the weights with this decay")
    select: defaults.Select = Field(
        defaults.SELECT, description="test the network of the last epoch, or of the best validation accuracy"
    )
    plugins: tuple[str, ...] = Field((), strict=False, description="plugin files or folders to load as well")

    @classmethod
    def from_toml(cls, table: dict[str, Any]) -> Self:
        """Read the table of a TOML file; raises :class:`SpecError` naming the key that is wrong."""
        refuse_unknown_keys(table, cls.model_fields)
        if isinstance(seeds := table.get("seed"), list):
            raise SpecError(f"seed must be one whole number, not {seeds}", hint=f"did you mean seeds = {seeds}?")
        _check_plugin_files(table.get("plugins", ()))
        try:
            values = {
                key: PluginDraft.from_toml(value, kind=key) if key in KINDS else value for key, value in table.items()
            }
            return cls.model_validate(values)
        except ValidationError as error:
            raise SpecError(describe_validation(error), hint=axis_hint(error.errors(include_url=False))) from None

    def plugin(self, kind: Kind) -> PluginDraft:
        """Return the draft of the plugin of this kind."""
        draft: PluginDraft = getattr(self, kind)
        return draft

    def with_default_augmentation(self, name: str) -> Self:
        """Return the draft with the augmentation that the dataset names, if it does not name another."""
        return self.model_copy(update={"augmentation": self.augmentation.with_default(name)})

    def with_texts(self, texts: Mapping[Kind, dict[str, str]]) -> Self:
        """Return the draft with these parameters set, as :func:`read_settings` gives them."""
        changed: dict[str, PluginDraft] = {
            kind: self.plugin(kind).model_copy(update={"texts": texts[kind]}) for kind in texts
        }
        return self.model_copy(update=changed)


@dataclass(frozen=True)
class PluginSpec:
    """One resolved plugin: its name, the revision of its code, and the value of every parameter.

    It may stand for several that :func:`~benchbench.config.composition.join` made one; their revisions are added up.
    """

    name: str
    revision: int
    params: dict[str, JsonValue]


@dataclass(frozen=True)
class Spec:
    """The resolved description of one trial: everything that decides its result, and nothing else."""

    dataset: PluginSpec
    augmentation: PluginSpec
    model: PluginSpec
    loss: PluginSpec
    optimizer: PluginSpec
    scheduler: PluginSpec
    epochs: int
    batch_size: int
    seed: int
    precision: defaults.Precision
    ema_decay: float | None
    select: defaults.Select

    @cached_property
    def id(self) -> str:
        """Return the sha256 of the spec's canonical JSON, 64 hexadecimal digits."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @cached_property
    def configuration_id(self) -> str:
        """Return what all seeds of one configuration have in common, and no other trial has."""
        return replace(self, seed=0).id

    def plugin(self, kind: Kind) -> PluginSpec:
        """Return the spec of the plugin of this kind."""
        spec: PluginSpec = getattr(self, kind)
        return spec

    def flat(self) -> dict[str, JsonValue]:
        """Return ``{"model": "alexnet", "model.dropout": 0.5, ..., "seed": 0}``, as MLflow's params show it."""
        return dict(self._flat)

    @cached_property
    def _flat(self) -> dict[str, JsonValue]:
        flat: dict[str, JsonValue] = {}
        for kind in KINDS:
            plugin = self.plugin(kind)
            flat[kind] = plugin.name
            flat |= {f"{kind}.{key}": value for key, value in plugin.params.items()}
            flat[f"{kind}.revision"] = plugin.revision
        return flat | scalars_of(self)

    def to_toml(self, *, plugins: tuple[str, ...] = (), names: Mapping[Kind, str] | None = None) -> str:
        """Return the TOML file with which ``bench run --spec`` repeats the trial.

        ``names`` are other names of its plugins, which say in what file or package they are.
        """
        table: dict[str, Any] = {key: "none" if value is None else value for key, value in scalars_of(self).items()}
        if plugins:
            table["plugins"] = list(plugins)
        for kind in KINDS:
            plugin = self.plugin(kind)
            params = {key: "none" if value is None else value for key, value in plugin.params.items()}
            parts = [{"name": name, **own} for name, own in split(plugin.name, params, kind=kind)]
            table[kind] = parts if len(parts) > 1 else parts[0] | {"name": (names or {}).get(kind, plugin.name)}
        return f"# spec id {self.id}\n" + tomli_w.dumps(table)


SCALARS = tuple(field.name for field in fields(Spec) if field.name not in KINDS)
"""The settings of a trial besides its plugins."""


def scalars_of(trial: Draft | Spec) -> dict[str, Any]:
    """Return the settings of a trial besides its plugins."""
    return {name: getattr(trial, name) for name in SCALARS}


def _check_plugin_files(files: object) -> None:
    if not (isinstance(files, list | tuple) and all(isinstance(file, str) for file in files)):
        raise SpecError(f"plugins must be a list of files or folders, not {files!r}", hint='plugins = ["mine.py"]')


def parse_setting(text: str) -> tuple[str, str]:
    """Return the key and the value of ``--set``: ``"model.dropout=0.3"`` gives ``("model.dropout", "0.3")``.

    Raises :class:`SpecError` for text in another form.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise _no_setting(text)
    return key, value


def read_settings(settings: Mapping[str, str]) -> dict[Kind, dict[str, str]]:
    """Return the values of settings by kind: ``{"model.dropout": "0.3"}`` gives ``{"model": {"dropout": "0.3"}}``.

    Raises :class:`SpecError` for a key in another form and for an unknown kind of plugin.
    """
    texts: dict[Kind, dict[str, str]] = {}
    for key, value in settings.items():
        kind, param = _split_key(key, setting=f"{key}={value}")
        texts.setdefault(kind, {})[param] = value.strip()
    return texts


def _split_key(key: str, *, setting: str) -> tuple[Kind, str]:
    name, dot, param = key.strip().partition(".")
    if not (dot and param):
        raise _no_setting(setting)
    for kind in KINDS:
        if name == kind:
            return kind, param
    raise SpecError(
        f"--set {setting!r}: there is no kind of plugin {name!r}",
        hint=closest(name, KINDS) or f"kinds: {', '.join(KINDS)}",
    )


def _no_setting(text: str) -> SpecError:
    key, _, value = text.partition("=")
    hint = "such as --set model.dropout=0.3"
    if key in SCALARS:
        option = key.replace("_", "-")
        hint = f"it is no parameter of a plugin: --{option} of bench run sets it, or {key} in a grid file"
    elif key in KINDS and value:
        hint = f"--set is for parameters of the {key}: bench run --help says how to choose another"
    elif value and "." not in key:
        hint = f"name the kind of plugin that has it: --set KIND.{key}={value}, KIND being {listed(KINDS, len(KINDS))}"
    return SpecError(f"--set {text!r} is not KIND.PARAM=VALUE", hint=hint)
