"""Several plugins of one kind as one: augmentations that are applied one after the other.

A list of them in TOML becomes a single plugin, named ``crop_flip+mixup``, with parameters such as ``mixup.alpha``. So
drafts, specs, grids, comparisons and MLflow know one plugin of each kind, and only what loads or writes plugins looks
at the parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from benchbench.config.axes import AXIS, is_axis
from benchbench.config.kinds import COMPOSING
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.config.kinds import Kind

JOINT = "+"
"""What joins the names of parts; the name of a plugin cannot have it."""

NOTHING = "none"
"""The plugin that does nothing. A list has no use for it, unless it is what ``default`` stands for."""

DEFAULT = "default"
"""The name that stands for the augmentation that the dataset names."""

Value = TypeVar("Value")


def part_names(name: str, *, kind: Kind) -> tuple[str, ...]:
    """Return the names of the plugins that a name stands for."""
    return tuple(name.split(JOINT)) if kind in COMPOSING else (name,)


def join(parts: Sequence[tuple[str, Mapping[str, Value]]]) -> tuple[str, dict[str, Value]]:
    """Return one name and one table of parameters for several plugins, each given as a name and its parameters."""
    if len(parts) == 1:
        name, params = parts[0]
        return name, dict(params)
    joined = {f"{name}.{key}": value for name, params in parts for key, value in params.items()}
    return JOINT.join(name for name, _ in parts), joined


def split(name: str, params: Mapping[str, Value], *, kind: Kind) -> list[tuple[str, dict[str, Value]]]:
    """Return the plugins behind a name, each with its own parameters.

    Raises :class:`SpecError` for a parameter that does not say whose it is.
    """
    names = part_names(name, kind=kind)
    if len(names) == 1:
        return [(name, dict(params))]
    tables: list[tuple[str, dict[str, Value]]] = [(part, {}) for part in names]
    for key, value in params.items():
        part, _, param = key.rpartition(".")
        if part not in names:
            raise SpecError(
                f"{kind}.{key}: {name} combines several plugins: name the one that the parameter is of",
                hint=f"such as {kind}.{names[0]}.{param}",
            )
        tables[names.index(part)][1][param] = value
    return tables


def with_default(name: str, params: Mapping[str, Value], default: str) -> tuple[str, dict[str, Value]]:
    """Return the name with what ``default`` stands for, and the parameters of ``default`` as those of that plugin."""
    names = name.split(JOINT)
    if DEFAULT not in names:
        return name, dict(params)
    prefix = f"{DEFAULT}."
    renamed = {
        f"{default}.{key.removeprefix(prefix)}" if key.startswith(prefix) else key: value
        for key, value in params.items()
    }
    all_names = [part for name in names for part in (default if name == DEFAULT else name).split(JOINT)]
    acting = list(dict.fromkeys(part for part in all_names if part != NOTHING)) or [NOTHING]
    if len(acting) == 1:
        renamed = {key.removeprefix(f"{acting[0]}."): value for key, value in renamed.items()}
    return JOINT.join(acting), renamed


def as_one(value: Any, *, kind: Kind) -> Any:
    """Return a list of plugins, also on an axis, as the table of one; any other value as it is."""
    if kind not in COMPOSING:
        return value
    if is_axis(value) and isinstance(value[AXIS], list):
        return {AXIS: [as_one(item, kind=kind) for item in value[AXIS]]}
    if isinstance(value, str) and JOINT in value:
        value = list(part_names(value, kind=kind))
    if isinstance(value, dict) and JOINT in str(value.get("name")):
        params = {key: value[key] for key in value if key != "name"}
        value = [{"name": name} | own for name, own in split(value["name"], params, kind=kind)]
    return _joined(value, kind) if isinstance(value, list) else value


def _joined(items: list[Any], kind: Kind) -> dict[str, Any]:
    parts: dict[str, dict[str, Any]] = {}
    for item in items:
        name, params = _part(item, kind)
        if name in parts:
            raise SpecError(f"{kind}: {name!r} is in the list twice", hint="take one of them out")
        parts[name] = params
    if NOTHING in parts and len(parts) > 1:
        raise SpecError(
            f"{kind}: a list is applied one after the other, and {NOTHING!r} in it does nothing",
            hint=f"to compare them, {kind} = {{ grid = [...] }}; to combine the others, leave it out",
        )
    name, params = join(list(parts.items()) or [(NOTHING, {})])
    return {"name": name} | params


def _part(item: Any, kind: Kind) -> tuple[str, dict[str, Any]]:
    if isinstance(item, str) and item:
        item = {"name": item}
    if not (isinstance(item, dict) and isinstance(item.get("name"), str)):
        raise SpecError(
            f"{kind}: each of a list must be a name or a table with a name, not {item!r}",
            hint=f'{kind} = ["NAME", {{ name = "NAME", PARAMETER = VALUE }}]; trials with one each: {{ grid = [...] }}',
        )
    return item["name"], {key: value for key, value in item.items() if key != "name"}
