"""The keys in which trials differ, and short labels made of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchbench.config.values import describe_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from benchbench.config.spec import Spec


def varying(specs: Sequence[Spec]) -> tuple[str, ...]:
    """Return the keys of :meth:`Spec.flat() <benchbench.config.spec.Spec.flat>` in which the trials differ.

    A parameter counts if it differs between trials of the same plugin. Parameters that only one of two plugins has do
    not: the plugins' names tell those trials apart. Two different specs always differ in one of these keys.
    """
    seen: dict[tuple[str, JsonValue], str] = {}
    varied: dict[str, bool] = {}
    for spec in specs:
        flat = spec.flat()
        for key, value in flat.items():
            kind, dot, _ = key.partition(".")
            text = json.dumps(value, sort_keys=True)
            first = seen.setdefault((key, flat[kind] if dot else None), text)
            varied[key] = varied.get(key, False) or text != first
    return tuple(key for key, differs in varied.items() if differs)


def is_same(specs: Iterable[Spec], key: str) -> bool:
    """Tell whether a key has one value in all trials; a trial without it has another one than those with it."""
    return len({json.dumps(spec.flat().get(key)) for spec in specs}) == 1


def describe_spec(spec: Spec, keys: Iterable[str]) -> str:
    """Return ``optimizer.lr=0.001 seed=0``: the values of these keys, without those that the spec does not have."""
    return describe_values(spec.flat(), keys)
