"""Checks of tables from TOML files, and pydantic's complaints in one sentence each."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from benchbench.config.values import value_text
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pydantic_core import ErrorDetails

    Location = tuple[int | str, ...]

_WISH = re.compile(r"(?:Input|String|List|Tuple|Dictionary|Value) should ")
_TOML_WORDS = {
    "a valid tuple": "a list",
    "a valid list": "a list",
    "a valid array": "a list",
    "a valid dictionary": "a table",
    "a valid boolean": "true or false",
}
"""What people who write TOML call the types that pydantic names."""

_MANY = ("tuple_type", "list_type", "dict_type", "model_type")
"""The complaints of pydantic about values that are to be lists or tables."""


class Table(BaseModel):
    """A table of a TOML file: strict about types, finite numbers only, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


AnyTable = TypeVar("AnyTable", bound=Table)


def read_table(cls: type[AnyTable], table: Any, *, name: str = "") -> AnyTable:
    """Return a table of a file as an object of its class.

    Raises :class:`SpecError` that begins with the table's ``name``, such as ``[compare]``.
    """
    prefix = f"{name}: " if name else ""
    if not isinstance(table, dict):
        raise SpecError(f"{prefix}must be a table, not {table!r}")
    refuse_unknown_keys(table, cls.model_fields, prefix=prefix)
    try:
        return cls.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"{prefix}{describe_validation(error)}") from None


def refuse_unknown_keys(table: Iterable[str], known: Collection[str], *, prefix: str = "") -> None:
    """Raise :class:`SpecError` with the closest known key if the table has an unknown one."""
    for key in table:
        if key not in known:
            raise SpecError(f"{prefix}unknown key {key!r}", hint=closest(key, known) or f"keys: {', '.join(known)}")


def describe_validation(error: ValidationError) -> str:
    """Return all complaints of one error, as :func:`describe_errors` does."""
    return describe_errors(error.errors(include_url=False))


def axis_hint(details: Iterable[ErrorDetails]) -> str:
    """Return how a grid file asks for several values, if a list or a table stands where one value belongs."""
    for item in details:
        is_one = len(item["loc"]) == 1 and item["type"].endswith(("_type", "literal_error"))
        if is_one and item["type"] not in _MANY and isinstance(item["input"], list | dict):
            values = value_text(item["input"]) if isinstance(item["input"], list) else "[...]"
            return f"to try several values in a grid file: {key_of(item['loc'])} = {{ grid = {values} }}"
    return ""


def key_of(location: Location) -> str:
    """Return ``a.b[0]`` for the location ``("a", "b", 0)`` of a value in a table."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def describe_errors(
    details: Iterable[ErrorDetails],
    *,
    name_of: Callable[[Location], str] = key_of,
    typed: Mapping[str, str] | None = None,
) -> str:
    """Return pydantic's complaints in one sentence for each value: ``epochs must be greater than 0, not -1``.

    ``name_of`` names the value at a location. ``typed`` has the texts that were typed on the command line, by the
    name of the parameter.
    """
    requirements: dict[str, list[str]] = {}
    values: dict[str, str] = {}
    for item in details:
        name = name_of(item["loc"]) or "the value"
        requirements.setdefault(name, []).append(_requirement(item))
        values[name] = _value_text(item, typed or {})
    return "; ".join(_sentence(name, messages, values[name]) for name, messages in requirements.items())


def _requirement(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "is missing"
    message, count = _WISH.subn("must ", item["msg"], count=1)
    message = message.removeprefix("Value error, ").partition(", unable to")[0]
    for word, plain in _TOML_WORDS.items() if count else ():
        message = message.replace(word, plain)
    return message


def _value_text(item: ErrorDetails, typed: Mapping[str, str]) -> str:
    text = typed.get(str(item["loc"][0])) if len(item["loc"]) == 1 else None
    return json.dumps(item["input"], default=str) if text is None else text


def _sentence(name: str, requirements: list[str], value: str) -> str:
    if requirements == ["is missing"]:
        return f"{name} is missing"
    different = list(dict.fromkeys(requirements))
    if all(wish.startswith("must ") for wish in different):
        rest = (wish.removeprefix("must ").removeprefix("be ") for wish in different[1:])
        return f"{name} {' or '.join([different[0], *rest])}, not {value}"
    return f"{name}: {'; '.join(different)} (got {value})"
