"""From text to a plugin's parameters: strict about types in TOML and JSON, lax about what was typed."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from benchbench.errors import BenchError, PluginError, SpecError, closest
from benchbench.plugin.base import Plugin, allows_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import JsonValue
    from pydantic_core import ErrorDetails

AnyPlugin = TypeVar("AnyPlugin", bound=Plugin)


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
    """Return the plugin with these parameters, types taken strictly; pydantic's errors pass through.

    They go through JSON, where a list is the only way to write a tuple, so that a list is taken for one.
    """
    return cls.model_validate_json(json.dumps(_with_none(cls, params)), strict=True)


def _with_none(cls: type[Plugin], values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the text ``none`` as None where None is allowed: TOML and command lines have no other word."""
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
    if not text.startswith(("[", "{")):
        return text
    value = _toml_value(text)
    if value is None:
        raise SpecError(
            f"{cls.kind}.{key}: cannot read {text!r}", hint=f"as in TOML: --set '{cls.kind}.{key}=[0.1, 0.2]'"
        )
    return value


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def _refuse_unknown(cls: type[Plugin], keys: Iterable[str]) -> None:
    for key in keys:
        if key not in cls.model_fields:
            known = ", ".join(cls.model_fields)
            raise SpecError(
                f"{cls.kind} {cls.name!r} has no parameter {key!r}",
                hint=closest(key, cls.model_fields) or (f"its parameters: {known}" if known else "it has none"),
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
    except Exception as error:
        raise PluginError(
            f"{cls.kind} {cls.name!r} failed to check its parameters: {type(error).__name__}: {error}"
        ) from error


def _field_errors(error: Exception, *, besides: Mapping[str, str]) -> list[ErrorDetails]:
    """Return the complaints on single parameters that will not be overridden."""
    details = error.errors(include_url=False) if isinstance(error, ValidationError) else []
    return [item for item in details if item["loc"] and item["loc"][0] not in besides]


def _complaint(cls: type[Plugin], details: Iterable[ErrorDetails], texts: Mapping[str, str] | None = None) -> SpecError:
    """Return one error for all complaints: ``optimizer.lr should be greater than 0, not -1``."""
    complaints: dict[str, list[str]] = defaultdict(list)
    values: dict[str, str] = {}
    for item in details:
        label = _label(cls, item["loc"])
        complaints[label].append(item["msg"].removeprefix("Value error, "))
        typed = texts.get(str(item["loc"][0])) if texts and len(item["loc"]) == 1 else None
        values[label] = typed if typed is not None else json.dumps(item["input"], default=str)
    return SpecError(
        "; ".join(_sentence(label, messages, values[label]) for label, messages in complaints.items()),
        hint=f"limits and defaults: bench show {cls.kind} {cls.name}",
    )


def _label(cls: type[Plugin], place: tuple[int | str, ...]) -> str:
    if not place:
        return f"{cls.kind} {cls.name!r}"
    # Words after the first are pydantic's names for the members of a union.
    positions = "".join(f"[{part}]" for part in place[1:] if isinstance(part, int))
    return f"{cls.kind}.{place[0]}{positions}"


def _sentence(label: str, messages: list[str], value: str) -> str:
    wishes = [message.removeprefix("Input ").partition(", unable to")[0] for message in messages]
    if all(message.startswith("Input should ") for message in messages):
        return f"{label} {' or '.join(dict.fromkeys(wishes))}, not {value}"
    return f"{label}: {'; '.join(dict.fromkeys(messages))} (got {value})"
