"""Plugins with parameters from TOML, JSON and ``--set``: strict about types in files, lenient about typed text."""

from __future__ import annotations

import json
import tomllib
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from benchbench.config.validation import axis_hint, describe_errors
from benchbench.errors import BenchError, PluginError, SpecError, closest
from benchbench.plugin.base import Plugin, allows_none, union_members
from benchbench.plugin.description import names_of_params
from benchbench.plugin.failures import explain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic import JsonValue
    from pydantic_core import ErrorDetails

AnyPlugin = TypeVar("AnyPlugin", bound=Plugin)

_NOT_FINITE = ("inf", "-inf", "nan")
"""What JSON has no numbers for; TOML and Python write them so."""

_SCALARS = (bool, int, float)
_TEXT_OR_SCALAR = (*_SCALARS, str, type(None))


def read(cls: type[AnyPlugin], params: Mapping[str, JsonValue], texts: Mapping[str, str] | None = None) -> AnyPlugin:
    """Return the plugin with these parameters; ``texts`` come from ``--set`` and override ``params``.

    Raises :class:`SpecError` for an unknown parameter, a wrong type or a value outside its limits.
    """
    texts = texts or {}
    _refuse_unknown(cls, [*params, *texts])
    with _checking(cls):
        try:
            config = from_json(cls, params)
        except (ValidationError, BenchError) as error:
            wrong = _field_errors(error, besides=texts)
            if wrong:
                raise _complaint(cls, wrong) from None
            if not texts:
                raise
        return _override(cls, params, texts) if texts else config


def from_json(cls: type[AnyPlugin], params: Mapping[str, JsonValue]) -> AnyPlugin:
    """Return the plugin with these parameters, strict about their types; pydantic's errors pass through.

    The parameters go through JSON, in which a tuple is written as a list.
    """
    values = _with_none(cls, params)
    numbers = {key: float(text) for key, text in _not_finite(cls, values).items()}
    return cls.model_validate_json(json.dumps(values | numbers), strict=True)


def to_json(config: Plugin) -> dict[str, JsonValue]:
    """Return the parameters as plain data, in which values that are equal look the same: -0.0 is written 0.0.

    Numbers that are not finite, which JSON does not have, are the texts ``inf``, ``-inf`` and ``nan``.
    """
    params: dict[str, JsonValue] = _without_negative_zero(config.model_dump(mode="json"))
    return params | _not_finite(type(config), params)


def _not_finite(cls: type[Plugin], values: Mapping[str, Any]) -> dict[str, str]:
    """Return those parameters, as texts, that are numbers and not finite; a parameter that may be a text has none."""
    fields = cls.model_fields
    types = {key: union_members(fields[key].annotation) for key in values if key in fields}
    numbers = [key for key in types if float in types[key] and str not in types[key]]
    return {key: text for key in numbers if (text := str(values[key])) in _NOT_FINITE}


def _without_negative_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_negative_zero(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_negative_zero(item) for item in value]
    return value + 0.0 if isinstance(value, float) else value


def _with_none(cls: type[Plugin], values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the text ``none`` as None if the parameter allows it: TOML and command lines have no other word for it."""
    fields = cls.model_fields
    return {
        key: None if value == "none" and key in fields and allows_none(fields[key].annotation) else value
        for key, value in values.items()
    }


def _override(cls: type[AnyPlugin], params: Mapping[str, JsonValue], texts: Mapping[str, str]) -> AnyPlugin:
    values: dict[str, Any] = {**params, **{key: _read_text(cls, key, text) for key, text in texts.items()}}
    try:
        return cls.model_validate(_with_none(cls, values))
    except ValidationError as error:
        details = error.errors(include_url=False)
    # A choice such as Literal[18, 34] takes no text, so "34" is read once more as the number it looks like.
    wrong = {str(item["loc"][0]) for item in details if item["loc"]}.intersection(texts)
    readable = {key: _toml_value(texts[key]) for key in wrong}
    try:
        return cls.model_validate(
            _with_none(cls, values | {key: value for key, value in readable.items() if value is not None})
        )
    except ValidationError:
        raise _complaint(cls, details, texts) from None


def _read_text(cls: type[Plugin], key: str, text: str) -> object:
    field = cls.model_fields.get(key)
    members = union_members(field.annotation) if field else ()
    value = _toml_value(text)
    if str in members and any(member in _SCALARS for member in members) and _is_scalar_of(members, value):
        return value
    # Brackets mean nothing in a text.
    if not text.startswith(("[", "{")) or (str in members and all(member in _TEXT_OR_SCALAR for member in members)):
        return text
    if value is None:
        raise SpecError(
            f"{cls.kind}.{key}: cannot read {text!r}", hint=f"as in TOML: --set '{cls.kind}.{key}=[0.1, 0.2]'"
        )
    return value


def _is_scalar_of(members: Collection[object], value: object) -> bool:
    """Tell whether a value, as TOML gives it, is of one of these types; an integer is a float as well."""
    return value is not None and (type(value) in members or (type(value) is int and float in members))


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def _refuse_unknown(cls: type[Plugin], keys: Iterable[str]) -> None:
    for key in keys:
        if key not in cls.model_fields:
            known = ", ".join(names_of_params(cls))
            raise SpecError(
                f"{cls.kind} {cls.name!r} has no parameter {key!r}",
                hint=closest(key, cls.model_fields)
                or (f"its parameters: {known}" if known else "it has no parameters"),
            )


@contextmanager
def _checking(cls: type[Plugin]) -> Iterator[None]:
    """Turn what a plugin's own validators raise into an error of ours."""
    try:
        yield
    except BenchError:
        raise
    except ValidationError as error:
        raise _complaint(cls, error.errors(include_url=False)) from None
    except Exception as error:  # whatever a stranger's validator raises
        raise PluginError(f"{cls.kind} {cls.name!r} failed to check its parameters: {explain(error)}") from error


def _field_errors(error: Exception, *, besides: Mapping[str, str]) -> list[ErrorDetails]:
    """Return the complaints about single parameters that are not overridden."""
    details = error.errors(include_url=False) if isinstance(error, ValidationError) else []
    return [item for item in details if item["loc"] and item["loc"][0] not in besides]


def _complaint(cls: type[Plugin], details: Iterable[ErrorDetails], texts: Mapping[str, str] | None = None) -> SpecError:
    """Return one error for all complaints: ``optimizer.lr must be greater than 0, not -1``."""
    details = list(details)
    hints = ("" if texts else axis_hint(details), f"limits and defaults: bench show {cls.kind} {cls.name}")
    return SpecError(
        describe_errors(details, name_of=partial(_name_of, cls), typed=texts), hint="\n".join(filter(None, hints))
    )


def _name_of(cls: type[Plugin], location: tuple[int | str, ...]) -> str:
    if not location:
        return f"{cls.kind} {cls.name!r}"
    # After the first, words are pydantic's names for the members of a union.
    positions = "".join(f"[{part}]" for part in location[1:] if isinstance(part, int))
    return f"{cls.kind}.{location[0]}{positions}"
