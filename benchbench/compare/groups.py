"""Splits trials into groups that can be compared."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare.configurations import one_per_trial
from benchbench.compare.images import records_by_dataset, records_by_version, version_name
from benchbench.config.differences import describe_spec, varying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.compare.comparison import Comparison
    from benchbench.compare.population import PopulationComparison
    from benchbench.config.compare_section import Question
    from benchbench.config.spec import Spec
    from benchbench.records.record import Record


@dataclass(frozen=True)
class Group:
    """Trials that can be compared; ``heading`` says how they differ from those of other groups, if there are any."""

    heading: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class ComparedGroup(Group):
    """The comparison of a group, or ``obstacle``: why there is none.

    ``over_images`` is its comparison on images like the test images, if it was asked for.
    """

    comparison: Comparison | None = None
    obstacle: str = ""
    over_images: PopulationComparison | None = None


def with_comparisons(
    groups: Iterable[ComparedGroup], change: Callable[[Comparison], Comparison]
) -> tuple[ComparedGroup, ...]:
    """Return groups whose comparisons are changed; those without one stay."""
    return tuple(replace(group, comparison=change(group.comparison)) if group.comparison else group for group in groups)


def split(records: Sequence[Record], question: Question, *, by_seeds: bool = True) -> tuple[Group, ...]:
    """Return the trials in groups that can be compared, in the order of their first records.

    Trials of different datasets, or of one dataset whose images have changed, are not compared, unless the question
    names a parameter of the dataset. Configurations with a single seed are a group of their own if they differ from
    the others in more than these differ in, unless the question names keys or a baseline, or not ``by_seeds``.
    """
    asked = {key.partition(".")[0] for key in (*question.by, *question.baseline)}
    trials = one_per_trial(records)
    groups = [Group("", tuple(trials))] if "dataset" in asked else list(_by_images(trials))
    if by_seeds and not asked:
        groups = [part for group in groups for part in _by_seeds(group)]
    return tuple(groups)


def num_configurations(records: Iterable[Record]) -> int:
    """Return how many configurations there are, which differ in more than their seeds."""
    return len({record.spec.configuration_id for record in records})


def _by_images(records: Sequence[Record]) -> Iterator[Group]:
    by_dataset = records_by_dataset(records)
    for name, dataset_records in by_dataset.items():
        parts = records_by_version(dataset_records)
        for digest, part in parts.items():
            heading = (
                *((f"dataset={name}",) if len(by_dataset) > 1 else ()),
                *((version_name(digest),) if len(parts) > 1 else ()),
            )
            yield Group(", ".join(heading), tuple(part))


def _by_seeds(group: Group) -> Iterator[Group]:
    """Yield a group whole, or first what has several seeds and then the single trials that do not belong to it."""
    seeds: dict[str, list[Record]] = defaultdict(list)
    for record in group.records:
        seeds[record.spec.configuration_id].append(record)
    repeated = [record for records in seeds.values() if len(records) > 1 for record in records]
    fixed = _fixed([record.spec for record in repeated])
    single = [records[0] for records in seeds.values() if len(records) == 1 and not _fits(records[0].spec, fixed)]
    if not repeated or not single:
        yield group
        return
    attempts = {record.attempt for record in single}
    for name, is_single in (("several seeds", False), (_single_name(single, group.records), True)):
        part = tuple(record for record in group.records if (record.attempt in attempts) == is_single)
        yield Group(", ".join(filter(None, (group.heading, name))), part)


def _single_name(single: Sequence[Record], records: Sequence[Record]) -> str:
    if len(single) > 1:
        return "single trials"
    return f"single trial, {describe_spec(single[0].spec, varying([record.spec for record in records]))}"


def _fixed(specs: Sequence[Spec]) -> dict[tuple[str, JsonValue], str]:
    """Return the values in which the specs do not differ, by their keys and plugins."""
    varied = {*varying(specs), "seed"}
    return {(key, plugin): text for spec in specs for key, plugin, text in _values(spec.flat()) if key not in varied}


def _fits(spec: Spec, fixed: Mapping[tuple[str, JsonValue], str]) -> bool:
    return all(fixed.get((key, plugin), text) == text for key, plugin, text in _values(spec.flat()))


def _values(flat: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue, str]]:
    """Yield keys, the plugins whose parameters they are, and values."""
    for key, value in flat.items():
        kind, dot, _ = key.partition(".")
        yield key, flat[kind] if dot else None, json.dumps(value, sort_keys=True)
