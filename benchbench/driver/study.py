"""The question of a comparison, from a file and from its caller, and the trials that it is about."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import compress
from operator import not_
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from benchbench.compare.verdicts import POINTS
from benchbench.config import grid_file
from benchbench.config.compare_section import read_comparison
from benchbench.config.composition import DEFAULT, join, part_names, split
from benchbench.config.defaults import default_experiment
from benchbench.config.files import read_toml
from benchbench.config.kinds import KINDS
from benchbench.config.spec import scalars_of
from benchbench.config.validation import refuse_unknown_keys
from benchbench.config.values import describe_values, is_match, is_value
from benchbench.driver.settings import refuse_unknown_options, texts_of
from benchbench.errors import BenchError, PluginError, SpecError
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files
from benchbench.tracking.grid_runs import find_designs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.config.compare_section import Expected, Question
    from benchbench.config.design import Design
    from benchbench.config.spec import Draft
    from benchbench.records.record import Record


class QuestionOptions(TypedDict, total=False):
    """What to compare: it overrides the question of a file. What is empty or None is not asked."""

    by: str | Sequence[str] | None
    metrics: str | Sequence[str] | None
    baseline: Mapping[str, JsonValue] | None
    targets: Mapping[str, float] | None
    confidence: float | None
    margin: float | None


@dataclass(frozen=True)
class GridTrial:
    """A trial of a grid: the values that its file gives, and all values with the plugins as they are now.

    Without a plugin that was removed since, ``all_values`` is empty.
    """

    file_values: dict[str, JsonValue]
    all_values: dict[str, JsonValue]

    def may_have(self, where: Mapping[str, JsonValue]) -> bool:
        """Tell whether the file gives the trial no other values than these."""
        return all(is_value(key, self.file_values.get(key, value), value) for key, value in where.items())

    def among(self, records: Sequence[Record]) -> list[Record]:
        """Return the records of this trial.

        Records of other revisions, or with other values for what the file leaves to defaults, count only if there are
        no others: they were trained before a plugin changed, or by another command.
        """
        near = [record for record in records if is_match(record.spec, self.file_values)]
        exact = [record for record in near if self.all_values and is_match(record.spec, self.all_values)]
        return exact or near


@dataclass(frozen=True)
class Study:
    """What a file asks: its question and published results and, if it is a grid, its name, headline, trials and design.

    ``earlier`` are the designs that the grid had before, and ``grids`` the names of several grids that added seeds.
    ``file`` is empty without one, and so is ``experiment`` if none was looked at.
    """

    question: Question
    expected: tuple[Expected, ...]
    trials: tuple[GridTrial, ...] = ()
    name: str = ""
    headline: str = ""
    design: Design | None = None
    earlier: tuple[Design, ...] = ()
    grids: tuple[str, ...] = ()
    file: str = ""
    experiment: str = ""

    @staticmethod
    def of_experiment(experiment: str | None, path: str | Path | None) -> Study:
        """Return what the file asks about an experiment, with the design by which its grid has added seeds."""
        experiment = experiment or default_experiment()
        study = Study.read(path)
        designs = find_designs(experiment, name=study.name, file=Path(path) if path and study.name else None)
        if designs.current is not None and study.design is None and study.question.seeds is None:
            study = Study.read(path, decide=True) if path and study.name else replace(study, design=designs.current)
        earlier = (*designs.earlier, *([designs.current] if designs.current else []))
        return replace(study, earlier=earlier, grids=designs.grids, experiment=experiment)

    @staticmethod
    def read(path: str | Path | None, *, decide: bool = False) -> Study:
        """Return what the file asks; without one, the questions that need none."""
        if path is None:
            return Study(*read_comparison({}))
        path = Path(path)
        table = read_toml(path)
        if not table.keys() & {"model", "dataset", "include"}:
            refuse_unknown_keys(table, ("compare", "expected"), prefix=f"{path}: ")
            return Study(*read_comparison(table), file=str(path))
        grid = grid_file.load(path, decide=decide)
        return replace(Study.of_grid(grid), trials=_trials(grid))

    @staticmethod
    def of_grid(grid: grid_file.GridFile) -> Study:
        """Return what a grid asks, without its trials."""
        return Study(
            grid.question,
            grid.expected,
            name=grid.name,
            headline=grid.headline,
            design=grid.design,
            file=str(grid.path),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a warning if verdicts about all trials of an experiment ignore that seeds were added until decided."""
        if not self.grids:
            return ()
        text = (
            f"seeds of {', '.join(self.grids)} were added depending on results, which these verdicts do not account"
            " for: --grid FILE judges a grid by its design"
        )
        return (text,)

    def check_expected(self) -> None:
        """Raise :class:`SpecError` for a published result of a trial that the grid does not have."""
        for number, row in enumerate(self.expected, start=1):
            if self.trials and not any(trial.may_have(row.where) for trial in self.trials):
                raise SpecError(f"[[expected]] {number} selects no trial: {describe_values(row.where, row.where)}")

    def asked(self, options: QuestionOptions) -> Question:
        """Return the file's question, overridden by the caller's options.

        Raises :class:`TypeError` for an unknown option, and :class:`SpecError` for a value out of range.
        """
        refuse_unknown_options(options, QuestionOptions.__annotations__)
        confidence = options.get("confidence")
        if confidence is not None and not 0 < confidence < 1:
            raise SpecError(f"--confidence {confidence:g} is not between 0 and 1", hint="such as 0.95")
        margin = options.get("margin")
        if margin is not None and not 0 < margin < POINTS:
            raise SpecError(f"--margin {margin:g} is not between 0 and {POINTS} points", hint="such as 0.5")
        asked: dict[str, object] = {
            "by": texts_of(options.get("by")),
            "metrics": texts_of(options.get("metrics")),
            "baseline": dict(options.get("baseline") or {}),
            "targets": dict(options.get("targets") or {}),
            "confidence": confidence,
            "margin": margin,
        }
        return self.question.model_copy(update={key: value for key, value in asked.items() if value})


@dataclass(frozen=True)
class Inquiry:
    """A study, the question that is asked, and the records that it is asked about."""

    study: Study
    question: Question
    records: Sequence[Record]

    @staticmethod
    def of(study: Study, options: QuestionOptions, note: Callable[[str], None]) -> Inquiry:
        """Check the question of a study with these options, then find its records; ``note`` hears what is left out."""
        question = study.asked(options)
        return Inquiry(study, question, find_records(study, note))


def _trials(grid: grid_file.GridFile) -> tuple[GridTrial, ...]:
    """Return the trials of a grid, with its plugins called by the names that they have in specs."""
    catalogs: dict[tuple[str, ...], Catalog | None] = {}
    trials = []
    for draft in grid.expand(allow_many=True):
        if draft.plugins not in catalogs:
            catalogs[draft.plugins] = _catalog(draft.plugins)
        trials.append(_grid_trial(draft, catalogs[draft.plugins]))
    return tuple(trials)


def _catalog(files: Sequence[str]) -> Catalog | None:
    try:
        return Catalog.read(loose_files(files))
    except PluginError:
        return None


def _grid_trial(draft: Draft, catalog: Catalog | None) -> GridTrial:
    if catalog is not None:
        try:
            named = catalog.named(draft)
            return GridTrial(_file_values(named), _file_values(named) | _with_defaults(named, catalog))
        except BenchError:  # a plugin was removed or changed since; its trials are still compared
            pass
    return GridTrial(_file_values(draft), {})


def _file_values(draft: Draft) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = scalars_of(draft)
    for kind in KINDS:
        plugin = draft.plugin(kind)
        if DEFAULT in part_names(plugin.name, kind=kind):
            continue  # only the dataset's plugin, which is gone, tells the name that this stands for
        values |= {kind: plugin.name} | {f"{kind}.{param}": value for param, value in plugin.params.items()}
    return values


def _with_defaults(draft: Draft, catalog: Catalog) -> dict[str, JsonValue]:
    """Return all parameters and the revisions of the plugins."""
    values: dict[str, JsonValue] = {}
    for kind in KINDS:
        plugin = draft.plugin(kind)
        parts = split(plugin.name, plugin.params, kind=kind)
        entries = [catalog.find(kind, name) for name, _ in parts]
        defaults = [{param.name: param.default for param in entry.params} for entry in entries]
        _, params = join([(name, of_part | own) for (name, own), of_part in zip(parts, defaults, strict=True)])
        values |= {f"{kind}.{param}": value for param, value in params.items()}
        values[f"{kind}.revision"] = sum(entry.revision for entry in entries)
    return values


def find_records(study: Study, note: Callable[[str], None]) -> list[Record]:
    """Return the records that the study is about, in the order of the grid's trials, or else oldest first.

    ``note`` is told what is left out.
    """
    from benchbench.compare.comparison import check_finished
    from benchbench.tracking.stored_records import read_experiment

    loaded = read_experiment(study.experiment)
    if loaded.without_record:
        note(f"left out, without a record: {', '.join(loaded.without_record)}")
    if loaded.num_waiting:
        note(f"{loaded.num_waiting} trial(s) not delivered to MLflow yet: bench runs list sends them")
    if not loaded.records:
        raise SpecError(
            f"the experiment {study.experiment!r} has no trials", hint="bench grid FILE --experiment NAME runs some"
        )
    records = list(loaded.records)
    if study.trials:
        here = _by_trial(study.trials, records)
        if not any(here):
            raise SpecError(
                f"none of the {len(records)} trials of {study.experiment!r} is one of the grid's",
                hint="those that ran with --set or --precision differ from the file: compare them without --grid",
            )
        is_first = _are_of_first_configuration(study.trials)
        if not study.question.baseline and _lacks_first(study.trials, here, is_first):
            note("the first configuration of the grid has no trial here, so another one is the baseline")
        in_order = [*compress(here, is_first), *compress(here, map(not_, is_first))]
        records = list({record.attempt: record for of_trial in in_order for record in of_trial}.values())
        num_missing = sum(not of_trial for of_trial in here)
        if num_missing and study.design is None:
            note(f"{num_missing} of {len(study.trials)} trials of the grid are not here")
    check_finished(records)
    return records


def _by_trial(trials: Sequence[GridTrial], records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each trial, looked up by the values that the file gives."""
    indexes: dict[tuple[str, ...], dict[tuple[object, ...], list[Record]]] = {}
    here = []
    for trial in trials:
        # Plugins may be named with their package or without.
        keys = tuple(key for key in trial.file_values if key not in KINDS)
        if keys not in indexes:
            indexes[keys] = defaultdict(list)
            for record in records:
                flat = record.spec.flat()
                if all(key in flat for key in keys):
                    indexes[keys][tuple(_hashable(flat[key]) for key in keys)].append(record)
        here.append(trial.among(indexes[keys][tuple(_hashable(trial.file_values[key]) for key in keys)]))
    return here


def _hashable(value: JsonValue) -> object:
    """Return what is equal for equal values; TOML writes None as ``none``."""
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in sorted(value.items()))
    return tuple(map(_hashable, value)) if isinstance(value, list) else "none" if value is None else value


def _are_of_first_configuration(trials: Sequence[GridTrial]) -> list[bool]:
    """Tell for each trial of a grid whether it differs from the first one on its dataset in the seed alone."""
    first: dict[JsonValue, dict[str, JsonValue]] = {}
    configurations = [trial.file_values | {"seed": None} for trial in trials]
    return [first.setdefault(values["dataset"], values) == values for values in configurations]


def _lacks_first(trials: Sequence[GridTrial], here: Sequence[list[Record]], is_first: Sequence[bool]) -> bool:
    """Tell whether the first configuration has no record on a dataset on which others have."""
    datasets = [trial.file_values["dataset"] for trial in trials]
    with_first = {name for name, records, first in zip(datasets, here, is_first, strict=True) if records and first}
    return any(name not in with_first for name, records in zip(datasets, here, strict=True) if records)
