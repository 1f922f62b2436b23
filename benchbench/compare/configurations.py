"""Groups trials into configurations: those that differ only in the seed, or that agree in the given keys."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare.images import versions_of_images
from benchbench.config.differences import describe_spec, is_same, varying
from benchbench.config.kinds import plain_key
from benchbench.config.values import describe_values, is_match, value_text
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.config.spec import Spec
    from benchbench.records.record import Record


@dataclass(frozen=True)
class Configuration:
    """Trials that differ only in their seeds, or that agree in the keys that were asked for.

    ``where`` has the values that tell them from other configurations, and ``lacks`` names keys of others that their
    plugins do not have. ``trials`` are by what pairs them with those of other configurations.
    """

    where: dict[str, JsonValue]
    trials: dict[str, Record]
    lacks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return such as ``optimizer.lr=0.001``, or ``no model.dropout`` if no key has a value."""
        return describe_values(self.where, self.where) or (f"no {', '.join(self.lacks)}" if self.lacks else "")

    @property
    def display_name(self) -> str:
        """Return the name as it is printed."""
        return printed_name(self.name)

    @property
    def finished(self) -> dict[str, Record]:
        """Return the trials that have results."""
        return {pair_key: record for pair_key, record in self.trials.items() if record.status == "finished"}

    @property
    def statuses(self) -> dict[str, int]:
        """Return how many trials ended in which way."""
        return dict(Counter(record.status for record in self.trials.values()))

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the configuration ids of the trials (the spec without the seed); several if trials are pooled."""
        return tuple(sorted({record.spec.configuration_id for record in self.trials.values()}))

    @property
    def val_accuracy(self) -> float | None:
        """Return the mean validation accuracy of the finished trials; None if there are none."""
        finals = [record.final.val_accuracy for record in self.finished.values() if record.final]
        return math.fsum(finals) / len(finals) if finals else None


@dataclass(frozen=True)
class Keys:
    """The keys ``by`` which trials are compared, since they define a configuration, and others that vary.

    Those are ``pooled`` within configurations, or ``confounded`` if they vary only between them.
    """

    by: tuple[str, ...]
    pooled: tuple[str, ...]
    confounded: tuple[str, ...]


def printed_name(name: str) -> str:
    """Return the name of a configuration, or words for the only one of trials that are all alike, which has none."""
    return name or "all trials"


def one_per_trial(records: Iterable[Record]) -> list[Record]:
    """Return one record for each spec and data, in the order of the records: the newest finished one, else the newest.

    Repeating a trial with the same seed adds no sample. A trial that failed once and finished later has finished.
    """
    attempts: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        attempts[record.spec_id, record.data_digest].append(record)
    return [
        max(trial_attempts, key=lambda record: (record.status == "finished", record.started_ms))
        for trial_attempts in attempts.values()
    ]


def find_keys(specs: Sequence[Spec], by: Iterable[str]) -> Keys:
    """Return the keys that define configurations, and the others that vary.

    They are those asked for, or else all that vary but the seed.

    Raises :class:`SpecError` for a key that no trial has or that has one value in all of them.
    """
    varied = [key for key in varying(specs) if key != "seed"]
    asked = tuple(dict.fromkeys(map(plain_key, by)))
    for key in asked:
        check_key(key, specs)
        if key == "seed" or is_same(specs, key):
            only = f"it is {json.dumps(specs[0].flat().get(key))} in all trials"
            why = "trials that only differ in it are one row" if key == "seed" else only
            hint = f"what varies: {', '.join(varied)}" if varied else "the trials differ in their seeds at most"
            raise SpecError(f"cannot compare by {key!r}: {why}", hint=hint)
    defining = asked or tuple(varied)
    besides = [key for key in varied if key not in defining]
    pooled = _varying_inside(specs, defining) if besides else set()
    return Keys(
        defining,
        pooled=tuple(key for key in besides if key in pooled),
        confounded=tuple(key for key in besides if key not in pooled),
    )


def check_key(key: str, specs: Iterable[Spec]) -> None:
    """Raise :class:`SpecError` with the closest key for one that no trial has."""
    known = list(dict.fromkeys(key for spec in specs for key in spec.flat()))
    if key not in known:
        raise SpecError(f"no trial has {key!r}", hint=closest(key, known) or f"such as {', '.join(known[:5])}")


def configurations_of(records: Sequence[Record], keys: Keys) -> list[Configuration]:
    """Return the configurations of trials, in the order of their first records.

    Trials are paired by their seed and by what a configuration pools. If the images of a dataset have changed between
    trials, only those on the same version of them are pairs.
    """
    versions = versions_of_images(records)
    configurations: dict[str, Configuration] = {}
    for record in records:
        flat = record.spec.flat()
        where = {key: flat[key] for key in keys.by if key in flat}
        lacks = tuple(key for key in keys.by if key not in flat)
        configuration = configurations.setdefault(_text(record.spec, keys.by), Configuration(where, {}, lacks))
        version = versions.get(record.data_digest)
        pair_key = describe_spec(record.spec, ("seed", *keys.pooled))
        configuration.trials[f"{pair_key} {version}" if version else pair_key] = record
    return list(configurations.values())


def baseline_first(records: Iterable[Record], specs: Iterable[Spec]) -> list[Record]:
    """Return records with those of the first configuration in front, on each dataset, so that it is the baseline.

    ``specs`` are all trials that were asked for, in their order; not all of them need have a record.
    """
    first: dict[str, str] = {}
    for spec in specs:
        first.setdefault(spec.dataset.name, spec.configuration_id)
    return sorted(records, key=lambda record: record.spec.configuration_id not in first.values())


def find_configuration(
    configurations: Sequence[Configuration], where: Mapping[str, JsonValue], *, pooled: Collection[str] = ()
) -> Configuration:
    """Return the configuration whose trials all have these values; the first one for none.

    Of ``pooled`` keys, some of its trials have the values. Raises :class:`SpecError` if no configuration matches, or
    more than one.
    """
    where = {plain_key(key): value for key, value in where.items()}
    specs = [record.spec for each in configurations for record in each.trials.values()]
    for key in where:
        check_key(key, specs)
    unpooled = {key: value for key, value in where.items() if key not in pooled}
    matching = [
        each
        for each in configurations
        if all(_has(record.spec, unpooled) for record in each.trials.values())
        and any(_has(record.spec, where) for record in each.trials.values())
    ]
    if not where or len(matching) == 1:
        return matching[0]
    if not matching:
        hint = f"rows: {_some(configurations)}"
        raise SpecError(f"no row matches the baseline {describe_values(where, where)}", hint=hint)
    raise SpecError(
        f"the baseline {describe_values(where, where)} matches {len(matching)} rows",
        hint=f"name one of them: {_some(matching)}",
    )


def _has(spec: Spec, where: Mapping[str, JsonValue]) -> bool:
    """Tell whether the spec has these values, given as such or as they are typed."""
    flat = spec.flat()
    return all(
        is_match(spec, {key: value}) or (key in flat and value_text(flat[key]) == value_text(value))
        for key, value in where.items()
    )


def _some(configurations: Sequence[Configuration], limit: int = 5) -> str:
    names = [each.name for each in configurations[:limit]]
    return "; ".join(names + (["..."] if len(configurations) > limit else []))


def _text(spec: Spec, keys: Iterable[str]) -> str:
    flat = spec.flat()
    return json.dumps([(key, flat[key]) for key in keys if key in flat], sort_keys=True)


def _varying_inside(specs: Sequence[Spec], keys: Iterable[str]) -> set[str]:
    """Return what trials that are equal in these keys differ in."""
    by_text: dict[str, list[Spec]] = {}
    for spec in specs:
        by_text.setdefault(_text(spec, keys), []).append(spec)
    return {key for alike in by_text.values() for key in varying(alike)}
