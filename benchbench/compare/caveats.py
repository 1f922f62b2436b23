"""What a reader of a comparison must know: where the trials ran, and what differs besides the configuration."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from benchbench.compare.guessing import guessing, is_better_than_guessing
from benchbench.compare.images import records_by_dataset
from benchbench.compare.metric_values import PER_EPOCH, with_first_epoch_only
from benchbench.config.design import MIN_SEEDS
from benchbench.config.kinds import KINDS
from benchbench.config.values import value_text
from benchbench.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchbench.compare.comparison import Comparison
    from benchbench.compare.configurations import Configuration, Keys
    from benchbench.compare.metric_values import Metric
    from benchbench.records.machine import Machine
    from benchbench.records.record import Record


def captions(records: Sequence[Record]) -> tuple[str, ...]:
    """Return, for a caption, how the trials ended, and every device, set of versions and commit that there is."""
    machines = list(_machines(records))
    commits = [machine.git_commit[:7] for machine in machines if machine.git_commit]
    statuses = Counter(record.status for record in records)
    lines = (
        ("trials", [", ".join(f"{count} {status}" for status, count in statuses.items())]),
        ("device", [_device(machine) for machine in machines]),
        ("versions", [", ".join(f"{name} {version}" for name, version in m.versions.items()) for m in machines]),
        ("commit", commits),
    )
    return tuple(f"{name}: {' | '.join(dict.fromkeys(texts))}" for name, texts in lines if texts)


def caveats(configurations: Sequence[Configuration], metrics: Sequence[Metric], keys: Keys) -> tuple[str, ...]:
    """Return a sentence for each thing that makes the rows hard to compare."""
    records = [record for each in configurations for record in each.finished.values()]
    return tuple(
        sentence
        for sentences in (
            _guessing_warnings(records),
            _row_warnings(records, keys),
            _machine_warnings(configurations),
            time_warnings(records, metrics),
            _first_epoch_warnings(records, metrics),
            _code_warnings(records),
        )
        for sentence in sentences
    )


def late_baseline_warnings(comparison: Comparison) -> tuple[str, ...]:
    """Return a warning if a baseline that was named when results were known is the best or worst of three or more rows.

    Such a choice is partly one of luck, which no correction accounts for.
    """
    metric = comparison.metrics[0].name
    means = {row.name: row.cells[metric].summary.mean for row in comparison.rows}
    known = {name: mean for name, mean in means.items() if mean is not None}
    name = comparison.baseline.name
    is_extreme = known.get(name) in (min(known.values(), default=0.0), max(known.values(), default=0.0))
    if len(known) < 3 or not is_extreme:  # noqa: PLR2004 - of two rows, each is extreme
        return ()
    which = "highest" if known[name] == max(known.values()) else "lowest"
    text = (
        f"the baseline was named after the trials ran and has the {which} {metric} of {len(known)} rows, which is"
        " partly luck: differences from it look larger than they are"
    )
    return (text,)


def few_seeds_of_baseline(comparison: Comparison) -> tuple[str, ...]:
    """Return a warning if only the baseline has too few seeds for verdicts, and others could be compared without it.

    It is not meant for a grid, whose baseline is chosen before its trials run, and some may still run.
    """
    baseline = comparison.baseline
    of_baseline = baseline.statuses.get("finished", 0)
    enough = [row for row in comparison.rows if row.statuses.get("finished", 0) >= MIN_SEEDS]
    if comparison.pooled or of_baseline >= MIN_SEEDS or len(enough) < 2:  # noqa: PLR2004 - one, and its baseline
        return ()
    pairs = (f"{key}={value_text(value)}" for key, value in enough[0].where.items())
    other = " ".join(f"--baseline {shlex.quote(pair)}" for pair in pairs)
    ways = "; ".join(filter(None, (other and f"{other} names another", "--grid FILE compares the trials of one grid")))
    finished = counted(of_baseline, "finished trial")
    return (f"the baseline {baseline.display_name} has {finished}, too few for a verdict: {ways}",)


def time_warnings(records: Sequence[Record], metrics: Iterable[Metric]) -> Iterator[str]:
    """Yield what makes times hard to compare, if there are times among the metrics."""
    timed = [metric.name for metric in metrics if metric.is_ratio]
    machines = _names(map(_machine, _machines(records)))
    if timed and len(machines) > 1:
        yield f"{', '.join(timed)}: times of {len(machines)} machines are compared: {'; '.join(machines)}"
    ways = _names(", ".join(sorted(record.acceleration.values())) for record in records)
    if timed and len(ways) > 1:
        yield f"{', '.join(timed)}: steps were computed in different ways: {'; '.join(ways)}"
    noisy = sum(bool(epoch.noisy) for record in records for epoch in record.epochs)
    if timed and noisy:
        total = sum(len(record.epochs) for record in records)
        yield f"{', '.join(timed)}: other processes took the processor in {noisy} of {total} epochs"


def _first_epoch_warnings(records: Sequence[Record], metrics: Iterable[Metric]) -> Iterator[str]:
    names = ", ".join(metric.name for metric in metrics if metric.name in PER_EPOCH)
    number = len(with_first_epoch_only(records))
    if names and number:
        yield f"{names}: left out for {number} of {len(records)} trials, whose only epoch is the first, which is slower"


def _guessing_warnings(records: Sequence[Record]) -> Iterator[str]:
    for name, trials in records_by_dataset(records).items():
        if not any(map(is_better_than_guessing, trials)):
            yield (
                f"no trial on {name} is clearly better than guessing, {guessing(max(trials, key=_test_accuracy))}:"
                " train longer, check the images, or test on more of them, before you compare"
            )


def _test_accuracy(record: Record) -> float:
    return record.final.test_accuracy if record.final else 0.0


def _row_warnings(records: Sequence[Record], keys: Keys) -> Iterator[str]:
    if keys.pooled:
        yield f"rows pool trials that differ in {', '.join(keys.pooled)}: their spread is not only that of seeds"
    if keys.confounded:
        yield f"the rows also differ in {', '.join(keys.confounded)}"
    for name in _names(record.spec.dataset.name for record in records):
        if len({record.data_digest for record in records if record.spec.dataset.name == name}) > 1:
            yield f"the images of {name} are not the same in all trials"


def _machine_warnings(configurations: Sequence[Configuration]) -> Iterator[str]:
    """Yield a sentence if a configuration ran elsewhere than another: their difference is then also one of machines.

    Arithmetic depends on the device, and on the CPU on the number of threads.
    """
    machines = [set(map(_machine, _machines(each.finished.values()))) for each in configurations]
    machines = [own for own in machines if own]
    if any(one.isdisjoint(other) for one in machines for other in machines):
        names = "; ".join(sorted(set().union(*machines)))
        yield f"configurations ran on different machines, which may cause a difference: {names}"


def _code_warnings(records: Sequence[Record]) -> Iterator[str]:
    for kind in KINDS:
        for name in _names(record.spec.plugin(kind).name for record in records):
            same = [record for record in records if record.spec.plugin(kind).name == name]
            if len(_names(record.plugin_sources.get(kind, "") for record in same)) > 1:
                yield f"the code of {kind} {name} is not the same in all trials"
    machines = list(_machines(records))
    for package in _names(name for machine in machines for name in machine.versions):
        versions = _names(machine.versions.get(package, "none") for machine in machines)
        if len(versions) > 1:
            yield f"trials ran with {package} {' and '.join(versions)}"


def _machines(records: Iterable[Record]) -> Iterator[Machine]:
    return (machine for record in records for machine in record.machines)


def _machine(machine: Machine) -> str:
    return f"{machine.hostname} ({_device(machine)})"


def _device(machine: Machine) -> str:
    name = f"{machine.device}, {machine.device_name}" if machine.device_name else machine.device
    return f"{name}, {counted(machine.num_threads, 'thread')}"


def _names(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
