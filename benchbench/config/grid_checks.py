"""Checks of a grid that need all of its trials: whether they are different, and can answer its question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.config.differences import describe_spec, is_same, varying
from benchbench.config.values import describe_values, is_match, value_text
from benchbench.errors import SpecError, closest, listed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Spec

BASELINE = "compare.baseline"
MAX_NAMED = 10
"""How many values of a key a hint names."""


def check_grid(grid: GridFile, specs: Sequence[Spec]) -> None:
    """Check a grid once its plugins have resolved its trials.

    Raises :class:`SpecError` if two trials are equal with all defaults written out, if ``compare`` names a key
    that no trial has, or if the baseline or an expected result selects no trial.
    """
    twice = first_repeat([spec.id for spec in specs])
    if twice:
        raise repeated_trial_error(grid.path, twice, len(specs), describe_spec(specs[twice[0]], grid.axes))
    known = list(dict.fromkeys(key for spec in specs for key in spec.flat()))
    for key in (*grid.question.by, *grid.question.baseline):
        if key not in known:
            raise SpecError(f"{grid.path}: [compare] names {key!r}, which no trial has", hint=closest(key, known))
    if grid.is_overridden and grid.design is None:
        return
    for name, selection in _selections(grid):
        if selection and not any(is_match(spec, selection) for spec in specs):
            asked = describe_values(selection, selection)
            raise SpecError(f"{grid.path}: {name} selects no trial: {asked}", hint=_values_of(specs, selection))
    _check_answerable(grid, specs)


def _values_of(specs: Sequence[Spec], keys: Iterable[str]) -> str:
    """Return which values the trials have: ``the trials have optimizer.lr 0.1, 0.01``."""
    tables = [spec.flat() for spec in specs]
    values = {key: dict.fromkeys(value_text(table[key]) for table in tables if key in table) for key in keys}
    texts = (f"{key} {listed(list(own), MAX_NAMED)}" for key, own in values.items() if own)
    return f"the trials have {'; '.join(texts)}"


def first_repeat(identities: Iterable[Hashable]) -> tuple[int, int] | None:
    """Return the positions of the first two items that are equal."""
    seen: dict[Hashable, int] = {}
    for position, identity in enumerate(identities):
        if identity in seen:
            return seen[identity], position
        seen[identity] = position
    return None


def repeated_trial_error(path: Path, twice: tuple[int, int], num_trials: int, values: str) -> SpecError:
    """Return the error for a trial that occurs twice, given its two positions and the values that make it."""
    first, second = (position + 1 for position in twice)
    return SpecError(
        f"{path}: trials {first} and {second} of {num_trials} are the same: {values}",
        hint="remove the repeated value from its axis; seeds = [0, 1, 2] repeats every configuration",
    )


def _check_answerable(grid: GridFile, specs: Sequence[Spec]) -> None:
    """Raise :class:`SpecError` for a question that the trials cannot answer, before they are trained."""
    question = grid.question
    varied = [key for key in varying(specs) if key != "seed"]
    for key in question.by:
        if key == "seed" or is_same(specs, key):
            raise SpecError(
                f"{grid.path}: [compare] by {key!r}, which has the same value in all trials",
                hint=f"what varies: {', '.join(varied) or 'nothing but the seed'}",
            )
    for name, selection in _selections(grid):
        matching = [spec for spec in specs if is_match(spec, selection)] if selection else []
        keys = question.by if name == BASELINE and question.by else varied
        # Each dataset is compared by itself and has a baseline of its own, unless datasets are compared.
        asks_for_datasets = any(key.partition(".")[0] == "dataset" for key in (*question.by, *selection))
        parts = _by_dataset(matching) if name == BASELINE and not asks_for_datasets else [matching]
        rest = [key for key in keys if any(key in varying(part) for part in parts)]
        if rest:
            raise SpecError(
                f"{grid.path}: {name} selects several configurations: {describe_values(selection, selection)}",
                hint=f"they differ in {', '.join(rest)}: name one value of each",
            )


def _selections(grid: GridFile) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    yield BASELINE, grid.question.baseline
    if grid.is_overridden:
        return
    for row, expected in enumerate(grid.expected, start=1):
        yield f"[[expected]] {row}", expected.where


def _by_dataset(specs: Iterable[Spec]) -> list[list[Spec]]:
    by_dataset: dict[str, list[Spec]] = {}
    for spec in specs:
        by_dataset.setdefault(spec.dataset.name, []).append(spec)
    return list(by_dataset.values())
