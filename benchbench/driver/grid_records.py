"""The trials that a grid file asks for, and their records among those of an experiment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import compress
from operator import and_, not_
from typing import TYPE_CHECKING

from benchbench.config.composition import DEFAULT, join, part_names, split
from benchbench.config.kinds import KINDS
from benchbench.config.spec import scalars_of
from benchbench.config.values import is_match, is_value
from benchbench.errors import BenchError, PluginError
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Draft
    from benchbench.records.record import Record


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
class GridRecords:
    """The records of each trial of a grid: none if it was not run, and several if it was repeated."""

    trials: Sequence[GridTrial]
    by_trial: Sequence[Sequence[Record]]

    @staticmethod
    def of(trials: Sequence[GridTrial], records: Sequence[Record]) -> GridRecords:
        """Find the records of the trials of a grid among these."""
        return GridRecords(trials, _by_trial(trials, records))

    @property
    def num_missing(self) -> int:
        """Return how many trials have no record."""
        return sum(not of_trial for of_trial in self.by_trial)

    @property
    def lacks_first_configuration(self) -> bool:
        """Tell whether the first configuration has no record on a dataset on which others have."""
        datasets = [trial.file_values["dataset"] for trial in self.trials]
        with_records = set(compress(datasets, self.by_trial))
        is_of_first = map(and_, self._are_of_first_configuration, map(bool, self.by_trial))
        return not with_records <= set(compress(datasets, is_of_first))

    def in_order(self) -> list[Record]:
        """Return each record once, in the order of the trials, but those of the first configuration in front."""
        is_first = self._are_of_first_configuration
        in_order = [*compress(self.by_trial, is_first), *compress(self.by_trial, map(not_, is_first))]
        return list({record.attempt: record for of_trial in in_order for record in of_trial}.values())

    @property
    def _are_of_first_configuration(self) -> list[bool]:
        """Tell for each trial of a grid whether it differs from the first one on its dataset in the seed alone."""
        first: dict[JsonValue, dict[str, JsonValue]] = {}
        configurations = [trial.file_values | {"seed": None} for trial in self.trials]
        return [first.setdefault(values["dataset"], values) == values for values in configurations]


def grid_trials(grid: GridFile) -> tuple[GridTrial, ...]:
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
