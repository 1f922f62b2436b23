"""The variants that ``bench time`` is asked for, by a grid file or lists on the command line, and their names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.compare.configurations import find_keys, plain_key
from benchbench.config import grid_file
from benchbench.config.axes import AXIS, axis_keys
from benchbench.config.comparison import read_study
from benchbench.config.differences import describe_spec, is_match, value_text
from benchbench.config.kinds import KINDS
from benchbench.config.spec import read_settings
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Spec

TO_VARY = "name two of something, such as --optimizer sgd,adam or --batch-size 12,32, or give a grid file with an axis"


@dataclass(frozen=True)
class Words:
    """What the command line says of the variants; an option may list several values with commas between."""

    target: str
    dataset: str | None
    optimizer: str | None
    batch_size: str | None
    precision: str | None
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """The variants, what each is called, and which is the baseline."""

    specs: tuple[Spec, ...]
    names: tuple[str, ...]
    baseline: str


def read_variants(words: Words) -> GridFile:
    """Return the grid of the variants with a single seed; raises :class:`SpecError` for what is not understood."""
    given = {
        "optimizer": _values(words.optimizer, "--optimizer"),
        "batch_size": _numbers(words.batch_size),
        "precision": _values(words.precision, "--precision"),
    }
    given = {key: value for key, value in given.items() if value is not None}
    grid = _from_words(words, given) if words.dataset else _from_file(words, given)
    grid = replace(grid, shared={**grid.shared, "seed": grid.seeds[0]})
    if grid.num_trials == 1:
        raise SpecError("one variant only: there is nothing to compare its time with", hint=TO_VARY)
    return grid


def name_variants(specs: Sequence[Spec], grid: GridFile, *, by: Sequence[str], baseline: str | None) -> Named:
    """Return the variants with their names.

    Raises :class:`SpecError` where they differ in more than one thing and ``by`` does not name it, and for a baseline
    that none is.
    """
    grid.check(specs)
    by = by or grid.compare.by
    keys = find_keys(specs, by)
    besides = (*keys.pooled, *keys.confounded)
    if besides or (not by and len(keys.rows) > 1):
        raise SpecError(
            f"the variants differ in {', '.join((*keys.rows, *besides))}:"
            " a ratio of their times would not say which of these makes it",
            hint="take axes out, or compare them as they are:"
            f" {' '.join(f'--by {key}' for key in (*keys.rows, *besides))}",
        )
    names = tuple(_name(spec, keys.rows) for spec in specs)
    return Named(tuple(specs), names, _baseline(specs, names, grid, baseline, keys.rows))


def _from_file(words: Words, given: dict[str, Any]) -> GridFile:
    path = Path(words.target)
    if path.suffix != ".toml" and not path.is_file():
        raise SpecError(
            "no dataset given", hint="bench time MODEL DATASET --optimizer sgd,adam, or bench time FILE.toml"
        )
    return grid_file.load(path, words.settings, given=given)


def _from_words(words: Words, given: dict[str, Any]) -> GridFile:
    if Path(words.target).suffix == ".toml":
        raise SpecError(
            f"{words.target} names its dataset itself, and {words.dataset} was given besides",
            hint=f"bench time {words.target}",
        )
    table: dict[str, Any] = {"model": _values(words.target, "MODEL"), "dataset": words.dataset} | given
    texts = read_settings(words.settings)
    return grid_file.GridFile(
        path=Path("command line"),
        name=f"time {words.target} {words.dataset}",
        question="",
        shared=table,
        axes=axis_keys(table),
        compare=read_study({})[0],
        expected=(),
        texts=texts,
        is_overridden=bool(texts),
    )


def _values(text: str | None, option: str) -> Any:
    """Return one value, or an axis of those between commas."""
    if text is None:
        return None
    values = [value.strip() for value in text.split(",")]
    if not all(values):
        raise SpecError(f"{option} {text!r} has an empty value", hint="such as sgd,adam")
    return values[0] if len(values) == 1 else {AXIS: values}


def _numbers(text: str | None) -> Any:
    values = _values(text, "--batch-size")
    if values is None:
        return None
    try:
        return {AXIS: [int(value) for value in values[AXIS]]} if isinstance(values, dict) else int(values)
    except ValueError:
        raise SpecError(f"--batch-size {text!r}: not a whole number", hint="such as 12,32") from None


def _name(spec: Spec, keys: Sequence[str]) -> str:
    """Return ``sgd`` or ``bf16`` where one text tells the variants apart, else ``batch_size=12 optimizer.lr=0.1``."""
    flat = spec.flat()
    if len(keys) == 1 and (keys[0] in KINDS or keys[0] == "precision"):
        return value_text(flat[keys[0]])
    return describe_spec(spec, keys)


def _baseline(
    specs: Sequence[Spec], names: Sequence[str], grid: GridFile, asked: str | None, keys: Sequence[str]
) -> str:
    if asked is not None:
        long = {describe_spec(spec, keys): name for spec, name in zip(specs, names, strict=True)}
        if asked in names or asked in long:
            return long.get(asked, asked)
        near = closest(asked, (*names, *long)) or f"variants: {'; '.join(names)}"
        raise SpecError(f"--baseline {asked!r} is none of the variants", hint=near)
    where: Mapping[str, Any] = {plain_key(key): value for key, value in grid.compare.baseline.items()}
    found = [name for spec, name in zip(specs, names, strict=True) if is_match(spec, where)]
    if not where or len(found) == 1:
        return found[0]
    raise SpecError(
        f"{grid.path}: the baseline of [compare] is {len(found)} of the variants",
        hint=f"--baseline names one: {'; '.join(found or names)}",
    )
