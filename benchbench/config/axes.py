"""Axes in the table of a trial: ``{ grid = [0.1, 0.01] }`` instead of a value.

An axis can be in the table itself or in the table of a plugin, but no deeper. A plugin that is a value of an axis can
have axes of its own.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from benchbench.config.kinds import KINDS
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

AXIS = "grid"
"""The one key of a table that is an axis."""

_DEPTH = 2


def is_axis(value: object) -> bool:
    """Tell whether a value is an axis."""
    return isinstance(value, dict) and value.keys() == {AXIS}


def check_axis(key: str, value: Any) -> None:
    """Raise :class:`SpecError` if ``value`` is an axis without values."""
    if not is_axis(value):
        return
    items = value[AXIS]
    if not isinstance(items, list):
        raise SpecError(f"the axis {key} must be a list of values, not {items!r}", hint=f"{key} = {{ grid = [1, 2] }}")
    if not items:
        raise SpecError(f"the axis {key} has no values", hint="give it one value or more, or leave it out")
    for item in items:
        check_axis(key, item)


def check_no_axis(key: str, value: Any) -> None:
    """Raise :class:`SpecError` if there is an axis in a value, deeper than axes may be."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        if is_axis(item):
            raise SpecError(
                f"an axis inside {key}, at {name!r}, is too deep", hint=f"{key} = {{ grid = [...] }} of whole values"
            )
        check_no_axis(key, item)


def expand(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a table for each trial; the last axis varies fastest."""
    yield from _choices(dict(table), depth=_DEPTH)


def count(table: Mapping[str, Any]) -> int:
    """Return how many tables :func:`expand` yields, without making them."""
    return _count(dict(table), depth=_DEPTH)


def choices(value: Any) -> Iterator[Any]:
    """Yield the values of an axis, or the value itself if it is no axis. Their parameters may still be axes."""
    yield from _choices(value, depth=0)


def _choices(value: Any, *, depth: int) -> Iterator[Any]:
    if is_axis(value):
        for item in value[AXIS]:
            yield from _choices(item, depth=depth)
    elif depth and isinstance(value, dict):
        for items in product(*(_choices(inner, depth=depth - 1) for inner in value.values())):
            yield dict(zip(value, items, strict=True))
    else:
        yield value


def _count(value: Any, *, depth: int) -> int:
    if is_axis(value):
        return sum(_count(item, depth=depth) for item in value[AXIS])
    if depth and isinstance(value, dict):
        return prod(_count(inner, depth=depth - 1) for inner in value.values())
    return 1


def axis_keys(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that are axes, such as ``optimizer.lr``, and the parameters of plugins that are on an axis."""
    return tuple(dict.fromkeys(key for name, value in table.items() for key in _keys_at(name, value)))


def _keys_at(key: str, value: Any) -> Iterator[str]:
    if is_axis(value):
        yield key
    for item in choices(value):
        if isinstance(item, dict) and key in KINDS:
            for param, inner in item.items():
                if param != "name" and (is_axis(value) or is_axis(inner)):
                    yield f"{key}.{param}"


def without(value: Any, params: Collection[str]) -> Any:
    """Return a plugin, or an axis of plugins, without these parameters."""
    if is_axis(value):
        return {AXIS: [without(item, params) for item in value[AXIS]]}
    return {key: value[key] for key in value if key not in params} if isinstance(value, dict) else value
