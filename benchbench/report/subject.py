"""What a report is about, and the names that its parts share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from benchbench.compare.caveats import time_warnings
from benchbench.compare.configurations import configurations_of, find_keys, printed_name
from benchbench.compare.images import versions_of_images
from benchbench.compare.metric_values import Metric
from benchbench.config.defaults import CONFIDENCE
from benchbench.config.differences import describe_spec, varying
from benchbench.config.values import describe_values
from benchbench.records.record import best

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from benchbench.compare import Comparison, DatasetComparison, PublishedRow
    from benchbench.compare.configurations import Configuration
    from benchbench.compare.groups import ComparedGroup
    from benchbench.records.record import Record
    from benchbench.report.trial_files import TrialFiles


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The trials of an experiment, what was asked of them, and the answer.

    Each trial occurs once. ``comparison`` is that of all trials; ``groups`` are those that can be compared, and give
    the answer. ``published`` has results of others, with intervals of ``published_confidence``. ``grid_file`` is the
    path of the grid file that they came from, if there is one. ``over_datasets`` is what holds over several datasets.
    """

    experiment: str
    headline: str
    comparison: Comparison
    trials: tuple[TrialFiles, ...]
    published: tuple[PublishedRow, ...] = ()
    published_confidence: float = CONFIDENCE
    grid_file: str = ""
    groups: tuple[ComparedGroup, ...] = ()
    over_datasets: DatasetComparison | None = None

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Return the records, in the order of the trials."""
        return tuple(trial.record for trial in self.trials)

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """Return the configurations in the order of the comparison's rows, each on one version of its images."""
        keys = find_keys([record.spec for record in self.records], self.comparison.by)
        return tuple(part for each in configurations_of(self.records, keys) for part in self._by_version(each))

    def _by_version(self, configuration: Configuration) -> Iterator[Configuration]:
        for version in dict.fromkeys(map(self._version, configuration.trials.values())):
            version_trials = {
                pair_key: record
                for pair_key, record in configuration.trials.items()
                if self._version(record) == version
            }
            yield replace(configuration, trials=version_trials)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Return a name for the images of each data digest, if those of a dataset have changed between trials."""
        return versions_of_images(self.records)

    def _version(self, record: Record) -> str:
        return self.versions.get(record.data_digest, "")

    def _with_version(self, name: str, record: Record) -> str:
        version = self._version(record)
        return f"{name}, {version}" if version else name

    def position(self, record: Record) -> int:
        """Return the position of the configuration that a trial belongs to."""
        return next(number for number, each in enumerate(self.configurations) if record in each.trials.values())

    @cached_property
    def compared_positions(self) -> tuple[int, ...]:
        """Return the positions of the best configuration and of the baseline of each group."""
        compared = [(each.records, each.comparison) for each in self.groups if each.comparison]
        first_records = [
            next(record for record in records if row.has(record.spec))
            for records, comparison in compared or [(self.records, self.comparison)]
            for row in comparison.rows
            if row.is_best or row.is_baseline
        ]
        return tuple(dict.fromkeys(map(self.position, first_records)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return a short name for each configuration: keys without their kinds if that tells them apart."""
        return tuple(
            self._with_version(
                short_name(each.where, self.comparison.by) if each.where else each.display_name,
                next(iter(each.trials.values())),
            )
            for each in self.configurations
        )

    @property
    def time_warnings(self) -> tuple[str, ...]:
        """Return what makes the times of the finished trials hard to compare."""
        finished = [record for record in self.records if record.status == "finished"]
        return tuple(time_warnings(finished, [Metric.named("train_seconds")]))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Return what tells the trials apart, seeds included."""
        varied = varying([record.spec for record in self.records])
        return (*(key for key in varied if key != "seed"), "seed")

    @property
    def best(self) -> Record | None:
        """Return the best trial by validation."""
        return best(self.records)

    def artifacts(self, record: Record) -> Path:
        """Return the folder with the files of a trial."""
        return next(trial.artifacts for trial in self.trials if trial.record is record)

    def trial_name(self, record: Record) -> str:
        """Return such as ``optimizer.lr=0.001 seed=0``."""
        return self._with_version(describe_spec(record.spec, self.keys), record)

    @property
    def counts(self) -> str:
        """Return such as ``12 trials: 11 finished, 1 failed``."""
        statuses = Counter(record.status for record in self.records)
        total = f"{len(self.records)} trial{'s' if len(self.records) > 1 else ''}"
        return f"{total}: {', '.join(f'{count} {status}' for status, count in statuses.items())}"


def short_name(where: Mapping[str, JsonValue], keys: tuple[str, ...]) -> str:
    """Return ``lr=0.001`` for ``optimizer.lr=0.001``, unless another key has the same last part."""
    last = [key.rpartition(".")[2] for key in keys]
    short = {
        (part if last.count(part) == 1 else key): where[key]
        for key, part in zip(keys, last, strict=True)
        if key in where
    }
    return printed_name(describe_values(short, short))
