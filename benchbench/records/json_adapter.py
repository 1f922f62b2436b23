"""Values as JSON, by pydantic."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_adapters: dict[object, TypeAdapter[Any]] = {}


def json_adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return what reads and writes values of a type as JSON; building one may take 25 ms, so each is kept."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
