"""The comparison that a design asks for: a fixed number of seeds, seeds added as needed, or none in particular."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.compare.adaptive import replay_looks, without_verdicts
from benchbench.compare.comparison import compare_records
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.learning import ENDED
from benchbench.config.differences import describe_spec, varying

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from benchbench.compare.comparison import Comparison
    from benchbench.config.compare_section import Question
    from benchbench.config.design import Design
    from benchbench.records.record import Record


def compare_by_design(records: Iterable[Record], question: Question, design: Design | None = None) -> Comparison:
    """Return the comparison of an adaptive design, of a declared number of seeds, or of all trials if there is neither.

    A design that is not complete has its means, and no differences and verdicts yet.
    Raises :class:`~benchbench.errors.SpecError` for a question that these trials cannot answer.
    """
    trials = one_per_trial(records)
    if design is not None:
        progress = replay_looks(trials, question, design)
        if progress.comparisons:
            comparison = _with_targets(progress.comparison, trials, question, design)
            return _with_warning_of_others(comparison, trials, design.seeds[: design.looks[0]], "left out are")
        why = f"not judged before the first look, at {design.looks[0]} seeds of each configuration"
        return without_verdicts(compare_records(trials, question), why)
    if question.seeds is not None:
        return _compare_declared_seeds(trials, question, question.seeds)
    return compare_records(trials, question)


def _with_targets(comparison: Comparison, trials: Sequence[Record], question: Question, design: Design) -> Comparison:
    """Return the comparison of a design with how its trials reached the targets, which has no part in its verdicts."""
    if not question.targets:
        return comparison
    configurations = {configuration for row in comparison.rows for configuration in row.configurations}
    of_design = [
        record
        for record in trials
        if record.spec.seed in design.seeds and record.spec.configuration_id in configurations
    ]
    # The first one is the baseline, and seeds of the next look may have begun with another configuration.
    of_design.sort(key=lambda record: record.spec.configuration_id not in comparison.baseline.configurations)
    of_targets = compare_records(of_design, question.model_copy(update={"by": comparison.by}))
    unjudged = without_verdicts(of_targets, "targets are no part of `decide`")
    more = [metric for metric in unjudged.metrics if metric not in comparison.metrics]
    cells = {row.name: row.cells for row in unjudged.rows}
    rows = tuple(
        replace(row, cells=row.cells | {metric.name: cells[row.name][metric.name] for metric in more})
        for row in comparison.rows
    )
    return replace(comparison, metrics=(*comparison.metrics, *more), rows=rows)


def _compare_declared_seeds(trials: Sequence[Record], question: Question, num_seeds: int) -> Comparison:
    """Return the comparison of the first seeds, as many as declared; without verdicts until all of them have run."""
    seeds = sorted({record.spec.seed for record in trials})
    first = seeds[:num_seeds]
    num_ended = _fewest_ended(trials, first)
    if num_ended < num_seeds:
        why = f"not judged before the {num_seeds} seeds that were declared have run ({num_ended} so far)"
        unjudged = without_verdicts(compare_records(trials, question), why)
        return _with_warning_of_others(unjudged, trials, first, "verdicts wait for")
    comparison = compare_records([record for record in trials if record.spec.seed in first], question)
    if len(seeds) > num_seeds:
        fact = f"seeds: {num_seeds}, as declared; {len(seeds) - num_seeds} more are not judged"
        return replace(comparison, facts=(*comparison.facts, fact))
    return comparison


def _fewest_ended(trials: Sequence[Record], seeds: Collection[int]) -> int:
    """Return how many of these seeds have ended in each configuration at least."""
    ended: dict[str, set[int]] = {record.spec.configuration_id: set() for record in trials}
    for record in trials:
        if record.status in ENDED and record.spec.seed in seeds:
            ended[record.spec.configuration_id].add(record.spec.seed)
    return min(map(len, ended.values()))


def _with_warning_of_others(
    comparison: Comparison, trials: Sequence[Record], seeds: Collection[int], consequence: str
) -> Comparison:
    """Return a comparison with a warning of this consequence if configurations have a trial of none of the seeds."""
    with_seeds = {record.spec.configuration_id for record in trials if record.spec.seed in seeds}
    others = [record.spec for record in trials if record.spec.configuration_id not in with_seeds]
    if not others:
        return comparison
    keys = [key for key in varying([record.spec for record in trials]) if key != "seed"]
    counts = Counter(describe_spec(spec, keys) for spec in others)
    names = "; ".join(f"{name} ({count} trial{'s' if count > 1 else ''})" for name, count in counts.items())
    warning = f"{consequence} configurations with none of the seeds {', '.join(map(str, seeds))}: {names}"
    return replace(comparison, warnings=(*comparison.warnings, warning))
