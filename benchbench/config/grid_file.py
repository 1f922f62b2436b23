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
from benchbench.config.compare_section import check_names, is_of_target, read_comparison
from benchbench.config.composition import DEFAULT, as_one, part_names
from benchbench.config.design import Design, default_looks
from benchbench.config.grid_checks import first_repeat, repeated_trial_error
from benchbench.config.kinds import KINDS, plural
from benchbench.config.spec import Draft, read_settings
from benchbench.config.text_files import read_toml
from benchbench.config.validation import Table, read_table, refuse_unknown_keys
from benchbench.config.values import describe_values
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from benchbench.config.compare_section import Expected, Question
    from benchbench.config.kinds import Kind

MAX_TRIALS = 10_000
"""A grid with more trials is probably a mistake, and needs ``--yes``."""


class _Head(Table):
    """The keys of a grid file that describe the grid as a whole."""

    name: str = Field("", min_length=1)
    question: str = ""
    include: tuple[str, ...] = Field((), strict=False)


_KEYS = (*_Head.model_fields, *Draft.model_fields, "seeds", "compare", "expected")


@dataclass(frozen=True)
class GridFile:
    """A grid as its file and the command line describe it.

    ``template`` is the table of a trial that still has the axes in it; ``axes`` are their keys, such as
    ``optimizer.lr``. ``texts`` are the settings of the command line, by kind and parameter. ``is_overridden`` is true
    if the command line changed what the file says. ``design`` tells how seeds are added, if that depends on results.
    """

    path: Path
    name: str
    headline: str
    template: Mapping[str, Any]
    axes: tuple[str, ...]
    question: Question
    expected: tuple[Expected, ...]
    texts: Mapping[Kind, dict[str, str]]
    is_overridden: bool
    design: Design | None = None

    @property
    def plugins(self) -> tuple[str, ...]:
        """Return the plugin files and folders that the trials need."""
        return tuple(self.template.get("plugins", ()))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of each configuration."""
        return tuple(choices(self.template.get("seed", Draft.model_fields["seed"].default)))

    @property
    def num_trials(self) -> int:
        """Return the number of trials, without making them."""
        return count(self.template)

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
        tables = list(expand({"seed": self.template["seed"], **self.template}))
        drafts = tuple(Draft.from_toml(table).with_texts(self.texts) for table in tables)
        twice = first_repeat([draft.model_dump_json() for draft in drafts])
        if twice:
            values = describe_values(_flat_trial(tables[twice[0]]), self.axes)
            raise repeated_trial_error(self.path, twice, len(drafts), values)
        return drafts


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
    with _in_file(path):
        trial_table = {key: value for key, value in table.items() if key in Draft.model_fields}
        question, expected = read_comparison(table)
        check_names(question, expected, axis_keys(trial_table))
        question = _without_overridden(question, texts, overrides)
        template = _merged_trial_table(trial_table, texts, overrides)
        seed = template.pop("seed", Draft.model_fields["seed"].default)
        question, design = _question_and_design(question, seed, template, is_asked=decide)
    template["seed"] = {AXIS: list(design.seeds)} if design else seed
    return GridFile(
        path=path,
        name=table.get("name", path.stem),
        headline=table.get("question", ""),
        template=template,
        axes=axis_keys(template),
        question=question,
        expected=expected,
        texts=texts,
        is_overridden=bool(texts or overrides),
        design=design,
    )


def _merged_trial_table(
    table: Mapping[str, Any], texts: Mapping[Kind, Mapping[str, str]], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the trial table of a file below what the command line sets; raises :class:`SpecError` if it lacks a key.

    Parameters among ``texts`` are left out: each trial gets them once it is made.
    """
    merged = _merge(table, overrides)
    for kind in ("model", "dataset"):
        if kind not in merged:
            raise SpecError(f"no {kind} given", hint=f'{kind} = "NAME"  (bench list {plural(kind)})')
    for kind, params in texts.items():
        if kind in merged:
            merged[kind] = without(merged[kind], params)
    return merged


def _question_and_design(
    question: Question, seed: Any, template: Mapping[str, Any], *, is_asked: bool
) -> tuple[Question, Design | None]:
    """Return how seeds are added, if they are, and the question, which then has a baseline."""
    design = _design(question, seed, template, is_asked=is_asked)
    _check_declared(question, seed)
    return (_with_baseline(question, template) if design else question), design


def _without_overridden(
    question: Question, texts: Mapping[Kind, Mapping[str, str]], overrides: Mapping[str, Any]
) -> Question:
    """Return the question with a baseline that says nothing of what the command line sets in all trials."""
    overridden = {*overrides, *(f"{kind}.{param}" for kind, params in texts.items() for param in params)}
    baseline = {key: value for key, value in question.baseline.items() if key not in overridden}
    return question.model_copy(update={"baseline": baseline})


def _design(question: Question, seed: Any, template: Mapping[str, Any], *, is_asked: bool) -> Design | None:
    """Return how seeds are added: as the file says, or by default if only the command line asks for it.

    Raises :class:`SpecError` for a grid of one configuration or several datasets, and for a file that gives the seeds
    as well.
    """
    num_configurations = count(template)
    datasets = {_as_table(dataset)["name"] for dataset in choices(template["dataset"])}
    first = tuple(choices(seed))
    looks = question.decide.look_sizes() if question.decide else default_looks() if is_asked else ()
    if not looks:
        return None
    if num_configurations == 1:
        raise SpecError(
            "decide needs a grid of two configurations or more",
            hint="give it an axis, such as lr = { grid = [0.1, 0.01] }",
        )
    if len(datasets) > 1:
        raise SpecError(
            f"seeds cannot be added for {len(datasets)} datasets at once: their accuracies are not compared",
            hint="one grid for each dataset, or a fixed list of seeds",
        )
    if question.seeds is not None:
        raise SpecError(
            f"[compare] declares a fixed design of {question.seeds} seeds, and --decide adds seeds as needed",
            hint="leave out one of them",
        )
    if question.decide and is_axis(seed):
        raise SpecError(
            f"seeds = {list(first)} and [compare] decide both say which seeds to run",
            hint=f"remove seeds; seed = {first[0]} says where decide begins",
        )
    of_targets = [name for name in question.metrics if is_of_target(name)]
    if of_targets:
        raise SpecError(
            f"{of_targets[0]} cannot be decided: trials that do not reach the target have no value",
            hint="remove it from metrics; what is in targets is shown anyway",
        )
    return Design.after(first, looks, num_configurations=num_configurations)


def _check_declared(question: Question, seed: Any) -> None:
    num_seeds = len(tuple(choices(seed)))
    if question.seeds is not None and num_seeds < question.seeds:
        raise SpecError(
            f"[compare] declares {question.seeds} seeds, and the grid has {num_seeds}",
            hint=f"seeds = {list(range(question.seeds))}",
        )


def _with_baseline(question: Question, template: Mapping[str, Any]) -> Question:
    """Return the question with the first configuration as its baseline, unless it names one.

    Only its dataset knows which augmentation ``default`` is. Such a configuration is the baseline as the first row.
    """
    axes = axis_keys(template)
    first = _flat_trial(next(expand(template)))
    baseline = {key: first[key] for key in question.by or axes if key in axes and key in first}
    if question.baseline or DEFAULT in part_names(str(baseline.get("augmentation", "")), kind="augmentation"):
        return question
    return question.model_copy(update={"baseline": baseline})


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
        if "data" in table:
            raise SpecError("unknown key 'data'", hint="--data PATH says where the images are, or BENCH_DATA")
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
