"""A table as a parameter: options that a plugin passes on to a library."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

NONE = "none"
"""What TOML and command lines have for None."""


class Options(Mapping[str, Any]):
    """Options by name: true or false, numbers, texts, and lists and tables of these. They cannot be changed.

    In TOML and on the command line they are a table: ``options = { drop_path_rate = 0.1 }``. Lists are read as tuples,
    and the text ``none`` as None.
    """

    type_text: ClassVar[str] = "table"
    """What ``bench show`` calls the type."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = {name: _frozen(value) for name, value in (values or {}).items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.to_json() == other.to_json()

    def __repr__(self) -> str:
        return f"Options({self.to_json()!r})"

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: _thawed(value) for name, value in self._values.items()}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Tell pydantic how options are read and written."""
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json)
        )

    @classmethod
    def _read(cls, value: object) -> Options:
        if isinstance(value, Options):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("options", "must be a table, such as {{ name = 0.1 }}")
        try:
            return cls(value)
        except (TypeError, ValueError) as error:
            raise PydanticCustomError("options", "{reason}", {"reason": str(error)}) from None


def _frozen(value: object) -> Any:
    if value is None or value == NONE:
        return None
    if isinstance(value, Options):
        return value
    if isinstance(value, Mapping):
        return Options(value)
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must have finite numbers, not {value}")
    if not isinstance(value, bool | int | float | str):
        raise TypeError(f"must have true, false, numbers, texts, lists, tables and 'none', not {value!r}")
    return value


def _thawed(value: Any) -> Any:
    if value is None:
        return NONE
    if isinstance(value, Options):
        return value.to_json()
    return list(map(_thawed, value)) if isinstance(value, tuple) else value
