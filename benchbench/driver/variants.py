"""The variants that are timed, from a grid file or from lists of names, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from benchbench.compare.configurations import find_keys
from benchbench.config import defaults, grid_file
from benchbench.config.axes import AXIS, axis_keys
from benchbench.config.compare_section import read_comparison
from benchbench.config.defaults import Accelerate
from benchbench.config.differences import describe_spec
from benchbench.config.grid_checks import check_grid
from benchbench.config.kinds import KINDS, OPTIONS, plain_key
from benchbench.config.spec import read_settings
from benchbench.config.values import is_match, value_text
from benchbench.driver.settings import check_choice
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Spec

ACCELERATE = "accelerate"
TO_VARY = "give several values, such as --optimizer sgd,adam or --batch-size 12,32, or a grid file with an axis"


@dataclass(frozen=True, kw_only=True)
class VariantOptions:
    """The variants as they are asked for; a text may have several values with commas between."""

    target: str | Sequence[str]
    dataset: str | None = None
    optimizer: str | Sequence[str] | None = None
    scheduler: str | Sequence[str] | None = None
    augmentation: str | Sequence[str] | None = None
    loss: str | Sequence[str] | None = None
    batch_size: int | str | Sequence[int] | None = None
    precision: str | Sequence[str] | None = None
    accelerate: str | Sequence[str] = defaults.ACCELERATE
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variants:
    """The variants, whether each is accelerated, what each is called, and which is the baseline."""

    specs: tuple[Spec, ...]
    accelerate: tuple[Accelerate, ...]
    names: tuple[str, ...]
    baseline: str


def read_variants(options: VariantOptions) -> GridFile:
    """Return the grid of the variants with a single seed; raises :class:`SpecError` for what is not understood."""
    overrides: dict[str, Any] = {kind: _axis(getattr(options, kind), option) for kind, option in OPTIONS.items()} | {
        "batch_size": _numbers(options.batch_size),
        "precision": _axis(options.precision, "--precision"),
    }
    overrides = {key: value for key, value in overrides.items() if value is not None}
    grid = _from_names(options, overrides) if options.dataset else _from_file(options, overrides)
    grid = replace(grid, template={**grid.template, "seed": grid.seeds[0]})
    if grid.num_trials * len(read_accelerate(options)) == 1:
        raise SpecError("there is only one variant, so there is nothing to compare it with", hint=TO_VARY)
    return grid


def read_accelerate(options: VariantOptions) -> tuple[Accelerate, ...]:
    """Return how the variants are accelerated; two values make two variants of each."""
    values = _values(options.accelerate, "--accelerate")
    for value in values:
        check_choice("--accelerate", value, get_args(Accelerate))
    if len(set(values)) < len(values):
        raise SpecError(f"--accelerate {','.join(values)} repeats a value", hint="--accelerate auto,off")
    return tuple(cast("Accelerate", value) for value in values)


def name_variants(
    specs: Sequence[Spec],
    grid: GridFile,
    *,
    accelerate: Sequence[Accelerate] = (defaults.ACCELERATE,),
    by: Sequence[str] = (),
    baseline: str | None = None,
) -> Variants:
    """Return the variants with their names.

    Raises :class:`SpecError` if they differ in more than one thing and ``by`` does not name it, and for a baseline
    that none of them is.
    """
    check_grid(grid, specs)
    by = by or grid.question.by
    keys = find_keys(specs, [key for key in by if key != ACCELERATE])
    besides = (*keys.pooled, *keys.confounded)
    differing = (*keys.by, *((ACCELERATE,) if len(accelerate) > 1 else ()))
    if besides or (len(differing) > 1 and not (by and set(differing) <= set(map(plain_key, by)))):
        differing = (*differing, *besides)
        raise SpecError(
            f"the variants differ in {', '.join(differing)}:"
            " a ratio of their times would not show which of these causes it",
            hint=f"remove axes, or compare the variants anyway: {' '.join(f'--by {key}' for key in differing)}",
        )
    pairs = [(spec, value) for spec in specs for value in accelerate]
    names = tuple(_name(spec, value, differing) for spec, value in pairs)
    all_specs = tuple(spec for spec, _ in pairs)
    long = [_long_name(spec, value, differing) for spec, value in pairs]
    return Variants(
        specs=all_specs,
        accelerate=tuple(value for _, value in pairs),
        names=names,
        baseline=_baseline(all_specs, names, long, grid, baseline),
    )


def _from_file(options: VariantOptions, overrides: dict[str, Any]) -> GridFile:
    path = Path(str(options.target))
    if path.suffix != ".toml" and not path.is_file():
        raise SpecError(
            "no dataset given", hint="bench time MODEL DATASET --optimizer sgd,adam, or bench time FILE.toml"
        )
    return grid_file.load(path, options.settings, overrides=overrides)


def _from_names(options: VariantOptions, overrides: dict[str, Any]) -> GridFile:
    target = options.target if isinstance(options.target, str) else ",".join(options.target)
    if Path(target).suffix == ".toml":
        raise SpecError(
            f"{target} already names a dataset, so {options.dataset} cannot be given as well",
            hint=f"bench time {target}",
        )
    table: dict[str, Any] = {"model": _axis(target, "MODEL"), "dataset": options.dataset} | overrides
    texts = read_settings(options.settings)
    return grid_file.GridFile(
        path=Path("command line"),
        name=f"time {target} {options.dataset}",
        headline="",
        template=table,
        axes=axis_keys(table),
        question=read_comparison({})[0],
        expected=(),
        texts=texts,
        is_overridden=bool(texts),
    )


def _values(text: str | Sequence[str], option: str) -> list[str]:
    values = [value.strip() for value in text.split(",")] if isinstance(text, str) else list(text)
    if not values or not all(values):
        raise SpecError(f"{option} {text!r} has an empty value", hint="such as sgd,adam")
    return values


def _axis(text: str | Sequence[str] | None, option: str) -> Any:
    """Return one value, or an axis of several."""
    if text is None:
        return None
    values = _values(text, option)
    return values[0] if len(values) == 1 else {AXIS: values}


def _numbers(text: int | str | Sequence[int] | None) -> Any:
    if text is None or isinstance(text, int):
        return text
    values = _values(text, "--batch-size") if isinstance(text, str) else text
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        raise SpecError(f"--batch-size {text!r}: not a whole number", hint="such as 12,32") from None
    return numbers[0] if len(numbers) == 1 else {AXIS: numbers}


def _name(spec: Spec, accelerate: str, keys: Sequence[str]) -> str:
    """Return ``sgd`` or ``bf16`` if one text tells the variants apart, else ``batch_size=12 optimizer.lr=0.1``."""
    if len(keys) == 1 and (keys[0] in KINDS or keys[0] == "precision"):
        return value_text(spec.flat()[keys[0]])
    return _long_name(spec, accelerate, keys)


def _long_name(spec: Spec, accelerate: str, keys: Sequence[str]) -> str:
    parts = [describe_spec(spec, [key for key in keys if key != ACCELERATE])]
    if ACCELERATE in keys:
        parts.append(f"{ACCELERATE}={accelerate}")
    return " ".join(filter(None, parts))


def _baseline(
    specs: Sequence[Spec], names: Sequence[str], long_names: Sequence[str], grid: GridFile, asked: str | None
) -> str:
    if asked is not None:
        long = dict(zip(long_names, names, strict=True))
        if asked in names or asked in long:
            return long.get(asked, asked)
        near = closest(asked, (*names, *long)) or f"variants: {'; '.join(names)}"
        raise SpecError(f"--baseline {asked!r} is none of the variants", hint=near)
    where = grid.question.baseline
    matching = {name: spec for spec, name in zip(specs, names, strict=True) if is_match(spec, where)}
    if not where or len({spec.id for spec in matching.values()}) == 1:
        return next(iter(matching))
    raise SpecError(
        f"{grid.path}: the baseline of [compare] is {len(matching)} of the variants",
        hint=f"--baseline names one: {'; '.join(matching or names)}",
    )
