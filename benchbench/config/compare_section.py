"""The tables ``[compare]`` and ``[[expected]]`` of a grid file: what to compare, and with which published results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue

from benchbench.config.defaults import CONFIDENCE
from benchbench.config.design import MIN_SEEDS, Decide
from benchbench.config.kinds import COMPOSING, KINDS, plain_key
from benchbench.config.spec import SCALARS
from benchbench.config.validation import Table, read_table
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

TIME_PREFIX = "time/"
EPOCHS_TO, SECONDS_TO = "epochs_to_", "seconds_to_"


def _flat(value: object) -> object:
    """Return ``{"optimizer": {"lr": 1}}``, which TOML makes of ``optimizer.lr = 1``, as ``{"optimizer.lr": 1}``.

    A table that is the value of a parameter stays one.
    """
    if not isinstance(value, dict):
        return value
    flat: dict[object, object] = {}
    for key, item in value.items():
        flat |= _by_param(key, item, depth=1 + (key in COMPOSING)) if key in KINDS else {key: item}
    return {plain_key(key) if isinstance(key, str) else key: item for key, item in flat.items()}


def _by_param(key: object, item: object, *, depth: int) -> dict[object, object]:
    """Return the values of a plugin's parameters, which are ``depth`` tables below it at most."""
    if not depth or not item or not isinstance(item, dict):
        return {key: item}
    flat: dict[object, object] = {}
    for name, inner in item.items():
        flat |= _by_param(f"{key}.{name}", inner, depth=depth - 1)
    return flat


def _plain_keys(value: object) -> object:
    return [plain_key(key) if isinstance(key, str) else key for key in value] if isinstance(value, list) else value


Selection = Annotated[dict[str, JsonValue], BeforeValidator(_flat)]
"""A choice of trials: values by their keys in :meth:`Spec.flat() <benchbench.config.spec.Spec.flat>`."""


class Question(Table):
    """Which keys and metrics to compare configurations by, with a baseline and targets to reach.

    ``seeds`` declares how many seeds each configuration gets, before which nothing is judged. ``decide`` adds seeds
    until every comparison is decided.
    """

    by: Annotated[tuple[str, ...], BeforeValidator(_plain_keys)] = Field((), strict=False)
    metrics: tuple[str, ...] = Field(("test_accuracy",), strict=False)
    baseline: Selection = Field(default_factory=dict)
    targets: dict[str, float] = Field(default_factory=dict)
    confidence: float = Field(CONFIDENCE, gt=0, lt=1)
    margin: float | None = Field(None, gt=0, lt=100)
    """In points of accuracy: a smaller difference counts as none."""

    seeds: int | None = Field(None, ge=MIN_SEEDS)
    decide: Decide | None = None


class Expected(Table):
    """A published result: which trials it belongs to, the metric, its value, and where it was published."""

    where: Selection = Field(default_factory=dict)
    metric: str
    value: float
    source: str = ""


def plain_name(metric: str) -> str:
    """Return the name of a metric without the prefix that MLflow shows the times of a trial with."""
    return metric.removeprefix(TIME_PREFIX)


def target_names(metric: str, value: float) -> tuple[str, str]:
    """Return the names of the two metrics of a target: the epochs and the seconds until it is reached."""
    return f"{EPOCHS_TO}{metric}={value:g}", f"{SECONDS_TO}{metric}={value:g}"


def is_of_target(metric: str) -> bool:
    """Tell whether a metric is the epochs or the seconds to a target, of which a trial may have no value."""
    return plain_name(metric).startswith((EPOCHS_TO, SECONDS_TO))


def read_comparison(table: Mapping[str, Any]) -> tuple[Question, tuple[Expected, ...]]:
    """Return ``[compare]`` and the ``[[expected]]`` rows of a file; raises :class:`SpecError` for what is wrong."""
    question = read_table(Question, table.get("compare", {}), name="[compare]")
    rows = table.get("expected", [])
    if not isinstance(rows, list):
        raise SpecError("expected must be rows, each under [[expected]]")
    _check_seeds(question)
    return question, tuple(
        read_table(Expected, row, name=f"[[expected]] {number}") for number, row in enumerate(rows, start=1)
    )


def _check_seeds(question: Question) -> None:
    if question.decide is None:
        return
    question.decide.look_sizes()
    if question.seeds is not None:
        raise SpecError(
            "[compare] has both seeds and decide",
            hint=f"seeds = {question.seeds} is a fixed design; decide adds seeds as they are needed",
        )


def check_names(question: Question, expected: Iterable[Expected], axes: Collection[str]) -> None:
    """Check the names that need no plugin to be known; raises :class:`SpecError` with the closest name."""
    for key in (*question.by, *question.baseline):
        kind, _, param = key.partition(".")
        if key not in (*KINDS, *SCALARS) and not (kind in KINDS and param):
            near = closest(key, dict.fromkeys([*axes, *KINDS, *SCALARS]))
            raise SpecError(f"[compare]: no trial has {key!r}", hint=near or "such as optimizer.lr, model or epochs")
    for number, row in enumerate(expected, start=1):
        for key in row.where:
            if key not in axes:
                raise SpecError(
                    f"[[expected]] {number}: {key!r} is not an axis of this grid",
                    hint=closest(key, axes) or f"axes: {', '.join(axes) or 'none'}",
                )
