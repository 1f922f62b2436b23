"""Grid files: many trials in one TOML file, and the question that they answer.

An axis is written ``lr = { grid = [0.1, 0.01] }``, since a bare list may be a value. A parameter, a whole plugin, the
epochs, the batch size and the precision can be an axis, and a plugin on an axis can have axes of its own.
``seeds = [0, 1]`` is the axis of seeds. A parameter whose value is a table with the single key ``grid`` cannot be set.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchbench.config.axes import AXIS, axis_keys, check_axis, check_no_axis, choices, count, expand, is_axis, without
from benchbench.config.compare_section import check_names, read_comparison
from benchbench.config.composition import DEFAULT, as_one, part_names
from benchbench.config.design import Design, looks_up_to
from benchbench.config.differences import describe_spec, describe_values, is_match, is_same, varying
from benchbench.config.files import read_toml
from benchbench.config.kinds import KINDS, plural
from benchbench.config.spec import Draft, read_settings
from benchbench.config.validation import Table, read_table, refuse_unknown_keys
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from benchbench.config.compare_section import Compare, Expected
    from benchbench.config.kinds import Kind
    from benchbench.config.spec import Spec

MAX_TRIALS = 10_000
"""A grid with more trials is probably a mistake, and needs ``--yes``."""

BASELINE = "compare.baseline"


class _Head(Table):
    """The keys of a grid file that describe the grid as a whole."""

    name: str = Field("", min_length=1)
    question: str = ""
    include: tuple[str, ...] = Field((), strict=False)


_KEYS = (*_Head.model_fields, *Draft.model_fields, "seeds", "compare", "expected")


@dataclass(frozen=True)
class GridFile:
    """A grid as its file and the command line describe it.

    ``shared`` is the table of a trial that still has the axes in it; ``axes`` are their keys, such as
    ``optimizer.lr``. ``texts`` are the settings of the command line, by kind and parameter. ``is_overridden`` is true
    if the command line changed what the file says. ``design`` tells how seeds are added, if that depends on results.
    """

    path: Path
    name: str
    question: str
    shared: Mapping[str, Any]
    axes: tuple[str, ...]
    compare: Compare
    expected: tuple[Expected, ...]
    texts: Mapping[Kind, dict[str, str]]
    is_overridden: bool
    design: Design | None = None

    @property
    def plugins(self) -> tuple[str, ...]:
        """Return the plugin files and folders that the trials need."""
        return tuple(self.shared.get("plugins", ()))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of each configuration."""
        return tuple(choices(self.shared.get("seed", Draft.model_fields["seed"].default)))

    @property
    def num_trials(self) -> int:
        """Return the number of trials, without making them."""
        return count(self.shared)

    def expand(self, *, allow_many: bool = False) -> tuple[Draft, ...]:
        """Return the trials in the order of the file's axes, of which the last varies fastest, one seed after another.

        So a grid that ends early has compared everything once, and a machine that gets slower over hours slows all
        configurations alike.

        Raises :class:`SpecError` if a trial occurs twice, or for more than :data:`MAX_TRIALS`.
        """
        if self.num_trials > MAX_TRIALS and not allow_many:
            raise SpecError(
                f"{self.path}: {self.num_trials:,} trials, more than {MAX_TRIALS:,}",
                hint="--yes runs them anyway",
            )
        tables = list(expand({"seed": self.shared["seed"], **self.shared}))
        drafts = tuple(Draft.from_toml(table).with_texts(self.texts) for table in tables)
        twice = _first_repeat([draft.model_dump_json() for draft in drafts])
        if twice:
            raise self._repeated(twice, len(drafts), describe_values(_flat_trial(tables[twice[0]]), self.axes))
        return drafts

    def check(self, specs: Sequence[Spec]) -> None:
        """Check the grid once its plugins have resolved it.

        Raises :class:`SpecError` if two trials are equal with all defaults written out, if ``compare`` names a key
        that no trial has, or if the baseline or an expected result selects no trial.
        """
        twice = _first_repeat([spec.id for spec in specs])
        if twice:
            raise self._repeated(twice, len(specs), describe_spec(specs[twice[0]], self.axes))
        known = list(dict.fromkeys(key for spec in specs for key in spec.flat()))
        for key in (*self.compare.by, *self.compare.baseline):
            if key not in known:
                raise SpecError(f"{self.path}: [compare] names {key!r}, which no trial has", hint=closest(key, known))
        if self.is_overridden and self.design is None:
            return
        for name, selection in self._selections():
            if selection and not any(is_match(spec, selection) for spec in specs):
                raise SpecError(f"{self.path}: {name} selects no trial: {describe_values(selection, selection)}")
        self._check_answerable(specs)

    def _check_answerable(self, specs: Sequence[Spec]) -> None:
        """Raise :class:`SpecError` for a question that the trials cannot answer, before they are trained."""
        varied = [key for key in varying(specs) if key != "seed"]
        for key in self.compare.by:
            if key == "seed" or is_same(specs, key):
                raise SpecError(
                    f"{self.path}: [compare] by {key!r}, which has one value in all trials",
                    hint=f"what varies: {', '.join(varied) or 'nothing but the seed'}",
                )
        for name, selection in self._selections():
            matching = [spec for spec in specs if is_match(spec, selection)] if selection else []
            keys = self.compare.by if name == BASELINE and self.compare.by else varied
            # Each dataset is compared by itself and has a baseline of its own, unless datasets are compared.
            asks_for_datasets = any(key.partition(".")[0] == "dataset" for key in (*self.compare.by, *selection))
            together = _by_dataset(matching) if name == BASELINE and not asks_for_datasets else [matching]
            rest = [key for key in keys if any(key in varying(of_one) for of_one in together)]
            if rest:
                raise SpecError(
                    f"{self.path}: {name} selects several configurations: {describe_values(selection, selection)}",
                    hint=f"they differ in {', '.join(rest)}: name one value of each",
                )

    def _selections(self) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
        yield BASELINE, self.compare.baseline
        if self.is_overridden:
            return
        for row, expected in enumerate(self.expected, start=1):
            yield f"[[expected]] {row}", expected.where

    def _repeated(self, twice: tuple[int, int], num_trials: int, values: str) -> SpecError:
        first, second = (position + 1 for position in twice)
        return SpecError(
            f"{self.path}: trials {first} and {second} of {num_trials} are the same: {values}",
            hint="remove the repeated value from its axis; seeds = [0, 1, 2] repeats every configuration",
        )


def _by_dataset(specs: Iterable[Spec]) -> list[list[Spec]]:
    of_one: dict[str, list[Spec]] = {}
    for spec in specs:
        of_one.setdefault(spec.dataset.name, []).append(spec)
    return list(of_one.values())


def load(
    path: Path,
    settings: Mapping[str, str] | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    decide: bool = False,
) -> GridFile:
    """Read a grid file and those that it includes.

    ``settings`` are texts such as ``{"optimizer.lr": "0.1"}``; they hold for every trial and replace an axis of that
    parameter. ``overrides`` are values of the command line, such as ``{"precision": "bf16"}``: they hold for every
    trial instead of the file's. ``decide`` adds seeds until every comparison is decided, even if the file does not ask
    for it.
    Raises :class:`SpecError` naming the file and what is wrong in it.
    """
    texts, overrides = read_settings(settings or {}), overrides or {}
    _check_values(overrides)
    table = _read(path)
    shared = {key: value for key, value in table.items() if key in Draft.model_fields}
    with _in_file(path):
        compare, expected = read_comparison(table)
        check_names(compare, expected, axis_keys(shared))
        compare = _without_overridden(compare, texts, overrides)
        shared = _merge(shared, overrides)
        for kind in ("model", "dataset"):
            if kind not in shared:
                raise SpecError(f"no {kind} given", hint=f'{kind} = "NAME"  (bench list {plural(kind)})')
    for kind, params in texts.items():
        if kind in shared:
            shared[kind] = without(shared[kind], params)
    seed = shared.pop("seed", Draft.model_fields["seed"].default)
    with _in_file(path):
        design = _design(compare, seed, shared, is_asked=decide)
        _check_declared(compare, seed)
        compare = _with_baseline(compare, shared) if design else compare
    if design:
        seed = {AXIS: list(design.seeds)}
    shared["seed"] = seed
    return GridFile(
        path=path,
        name=table.get("name", path.stem),
        question=table.get("question", ""),
        shared=shared,
        axes=axis_keys(shared),
        compare=compare,
        expected=expected,
        texts=texts,
        is_overridden=bool(texts or overrides),
        design=design,
    )


def _without_overridden(
    compare: Compare, texts: Mapping[Kind, Mapping[str, str]], overrides: Mapping[str, Any]
) -> Compare:
    """Return the question with a baseline that says nothing of what the command line sets in all trials."""
    overridden = {*overrides, *(f"{kind}.{param}" for kind, params in texts.items() for param in params)}
    baseline = {key: value for key, value in compare.baseline.items() if key not in overridden}
    return compare.model_copy(update={"baseline": baseline})


def _design(compare: Compare, seed: Any, shared: Mapping[str, Any], *, is_asked: bool) -> Design | None:
    """Return how seeds are added: as the file says, or by default if only the command line asks for it.

    Raises :class:`SpecError` for a grid of one configuration or several datasets, and for a file that gives the seeds
    as well.
    """
    num_configurations = count(shared)
    datasets = {_as_table(dataset)["name"] for dataset in choices(shared["dataset"])}
    first = tuple(choices(seed))
    looks = compare.decide.numbers() if compare.decide else looks_up_to() if is_asked else ()
    if not looks:
        return None
    if num_configurations == 1:
        raise SpecError(
            "a grid of one configuration leaves nothing to decide",
            hint="give it an axis, such as lr = { grid = [0.1, 0.01] }",
        )
    if len(datasets) > 1:
        raise SpecError(
            f"seeds cannot be added for {len(datasets)} datasets at once: their accuracies are not compared",
            hint="one grid for each dataset, or a fixed list of seeds",
        )
    if compare.seeds is not None:
        raise SpecError(
            f"[compare] declares a fixed design of {compare.seeds} seeds, and --decide adds seeds as needed",
            hint="leave out one of them",
        )
    if compare.decide and is_axis(seed):
        raise SpecError(
            f"seeds = {list(first)} and [compare] decide both say which seeds to run",
            hint=f"remove seeds; seed = {first[0]} says where decide begins",
        )
    return Design.after(first, looks, num_configurations=num_configurations)


def _check_declared(compare: Compare, seed: Any) -> None:
    num_seeds = len(tuple(choices(seed)))
    if compare.seeds is not None and num_seeds < compare.seeds:
        raise SpecError(
            f"[compare] declares {compare.seeds} seeds, and the grid has {num_seeds}",
            hint=f"seeds = {list(range(compare.seeds))}",
        )


def _with_baseline(compare: Compare, shared: Mapping[str, Any]) -> Compare:
    """Return the question with the first configuration as its baseline, unless it names one.

    Only its dataset knows which augmentation ``default`` is. Such a configuration is the baseline as the first row.
    """
    axes = axis_keys(shared)
    first = _flat_trial(next(expand(shared)))
    baseline = {key: first[key] for key in compare.by or axes if key in axes and key in first}
    if compare.baseline or DEFAULT in part_names(str(baseline.get("augmentation", "")), kind="augmentation"):
        return compare
    return compare.model_copy(update={"baseline": baseline})


@contextmanager
def _in_file(path: Path) -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        raise SpecError(f"{path}: {error.message}", hint=error.hint) from None


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the table of a file, checked by itself, over those of the files that it includes."""
    chain = (*above, path.resolve())
    if path.resolve() in above:
        raise SpecError(f"{path} includes itself: {' -> '.join(file.name for file in chain)}")
    table = read_toml(path)
    with _in_file(path):
        refuse_unknown_keys(table, _KEYS)
        head = {key: table[key] for key in _Head.model_fields if key in table}
        included = read_table(_Head, head).include
        for name in included:
            if not (path.parent / name).is_file():
                raise SpecError(f"no such file to include: {name!r}", hint="names are relative to the file")
        table = {key: as_one(value, kind=key) if key in KINDS else value for key, value in table.items()}
        table = _with_seed(table)
        _check_values({key: value for key, value in table.items() if key in Draft.model_fields})
        read_comparison(table)
    merged: dict[str, Any] = {}
    for name in included:
        merged = _merge(merged, _read(path.parent / name, chain))
    return _merge(merged, table)


def _with_seed(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table with ``seeds = [0, 1]`` as the axis that it is."""
    if "seeds" not in table:
        return table
    if "seed" in table:
        raise SpecError("seed and seeds are both given", hint="seeds = [0, 1, 2]")
    if not isinstance(table["seeds"], list):
        raise SpecError(f"seeds must be a list, not {table['seeds']!r}", hint="seeds = [0, 1, 2]")
    rest = {key: value for key, value in table.items() if key != "seeds"}
    return rest | {"seed": {AXIS: table["seeds"]}}


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return both tables as one, in which ``own`` counts before ``base``; so do parameters of the same plugin."""
    merged = {**base, **own}
    for kind in KINDS:
        below, above = (_as_table(table.get(kind)) for table in (base, own))
        if below and above and below["name"] == above["name"]:
            merged[kind] = below | above
    return merged


def _as_table(plugin: object) -> dict[str, Any]:
    if isinstance(plugin, str):
        return {"name": plugin}
    return plugin if isinstance(plugin, dict) and "name" in plugin else {}


def _flat_trial(table: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return a trial's table as :meth:`~benchbench.config.spec.Spec.flat` would have it, without defaults."""
    flat: dict[str, JsonValue] = {}
    for key, value in table.items():
        plugin = _as_table(value) if key in KINDS else {}
        flat[key] = plugin.get("name", value)
        flat |= {f"{key}.{param}": plugin[param] for param in plugin if param != "name"}
    return flat


def _first_repeat(identities: Iterable[Hashable]) -> tuple[int, int] | None:
    """Return the positions of the first two items that are equal."""
    seen: dict[Hashable, int] = {}
    for position, identity in enumerate(identities):
        if identity in seen:
            return seen[identity], position
        seen[identity] = position
    return None


def _check_values(table: Mapping[str, Any]) -> None:
    """Check the keys of a trial one by one, each value of an axis by itself."""
    for key, value in table.items():
        check_axis(key, value)
        for item in [value] if key == "plugins" else choices(value):
            Draft.from_toml({"model": "any", "dataset": "any", key: item})
            for param, inner in _as_table(item).items() if key in KINDS else ():
                check_axis(f"{key}.{param}", inner)
                for deeper in choices(inner):
                    check_no_axis(f"{key}.{param}", deeper)
