"""What a grid is to answer, as its file says it: what to compare, and the published results to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from benchbench.config.kinds import KINDS
from benchbench.config.spec import describe_validation
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

SCALARS = ("epochs", "batch_size", "seed", "precision")
"""What a trial has besides its plugins."""


class Part(BaseModel):
    """A table of a grid file: strict about types, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


AnyPart = TypeVar("AnyPart", bound=Part)


def _flat(value: object) -> object:
    """Return ``{"optimizer": {"lr": 1}}``, which TOML makes of ``optimizer.lr = 1``, as ``{"optimizer.lr": 1}``."""
    if not isinstance(value, dict):
        return value
    flat: dict[object, object] = {}
    for key, item in value.items():
        flat |= {f"{key}.{param}": inner for param, inner in item.items()} if isinstance(item, dict) else {key: item}
    return flat


Where = Annotated[dict[str, JsonValue], BeforeValidator(_flat)]
"""Which trials are meant: values by their keys in :meth:`Spec.flat() <benchbench.config.spec.Spec.flat>`."""


class Compare(Part):
    """What to compare: configurations by these keys and metrics, with a baseline and targets to reach."""

    by: tuple[str, ...] = Field((), strict=False)
    metrics: tuple[str, ...] = Field(("test_accuracy",), strict=False)
    baseline: Where = {}
    targets: dict[str, float] = {}
    confidence: float = Field(0.95, gt=0, lt=1)


class Expected(Part):
    """A published result: the trials that it is of, the metric, its value, and where it was published."""

    where: Where = {}
    metric: str
    value: float
    source: str = ""


def read_study(table: Mapping[str, Any]) -> tuple[Compare, tuple[Expected, ...]]:
    """Return ``[compare]`` and the ``[[expected]]`` rows of a file; raises :class:`SpecError` for what is wrong."""
    compare = read_part(Compare, table.get("compare", {}), place="[compare]")
    rows = table.get("expected", [])
    if not isinstance(rows, list):
        raise SpecError("expected must be rows, each under [[expected]]")
    return compare, tuple(read_part(Expected, row, place=f"[[expected]] {place}") for place, row in enumerate(rows, 1))


def read_part(cls: type[AnyPart], table: Any, *, place: str = "") -> AnyPart:
    """Return a table as what it is; raises :class:`SpecError` with its ``place`` in the file."""
    prefix = f"{place}: " if place else ""
    if not isinstance(table, dict):
        raise SpecError(f"{prefix}must be a table, not {table!r}")
    refuse_unknown(table, cls.model_fields, prefix=prefix)
    try:
        return cls.model_validate(table)
    except ValidationError as error:
        raise SpecError(f"{prefix}{describe_validation(error)}") from None


def refuse_unknown(table: Iterable[str], known: Collection[str], *, prefix: str = "") -> None:
    """Raise :class:`SpecError` with the closest known key where the table has another one."""
    for key in table:
        if key not in known:
            raise SpecError(f"{prefix}unknown key {key!r}", hint=closest(key, known) or f"keys: {', '.join(known)}")


def check_names(compare: Compare, expected: Iterable[Expected], axes: Collection[str]) -> None:
    """Check what can be told of names before the plugins are known; raises :class:`SpecError`."""
    for key in (*compare.by, *compare.baseline):
        kind, _, param = key.partition(".")
        if key not in (*KINDS, *SCALARS) and not (kind in KINDS and param):
            near = closest(key, dict.fromkeys([*axes, *KINDS, *SCALARS]))
            raise SpecError(f"[compare]: nothing is called {key!r}", hint=near or "such as optimizer.lr, model, epochs")
    for place, row in enumerate(expected, start=1):
        for key in row.where:
            if key not in axes:
                raise SpecError(
                    f"[[expected]] {place}: {key!r} is no axis of this grid",
                    hint=closest(key, axes) or f"axes: {', '.join(axes) or 'none'}",
                )
