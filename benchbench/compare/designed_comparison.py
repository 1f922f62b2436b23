"""The comparison that a design asks for: a fixed number of seeds, seeds added as needed, or none in particular."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.compare.adaptive import replay_looks, without_verdicts
from benchbench.compare.comparison import compare_records
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.learning import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
            return _with_targets(progress.comparison, trials, question, design)
        why = f"not judged before the first look, at {design.looks[0]} seeds of each configuration"
        return without_verdicts(compare_records(trials, question), why)
    if question.seeds is not None:
        return _compare_declared_seeds(trials, question, question.seeds)
    return compare_records(trials, question)


def _with_targets(comparison: Comparison, trials: Sequence[Record], question: Question, design: Design) -> Comparison:
    """Return the comparison of a design with how its trials reached the targets, which has no part in its verdicts."""
    if not question.targets:
        return comparison
    configurations = _configurations(comparison)
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


def _configurations(comparison: Comparison) -> set[str]:
    return {configuration for row in comparison.rows for configuration in row.configurations}


def _compare_declared_seeds(trials: Sequence[Record], question: Question, num_seeds: int) -> Comparison:
    """Return the comparison of the first seeds, as many as declared; without verdicts until all of them have run."""
    seeds = sorted({record.spec.seed for record in trials})
    first = set(seeds[:num_seeds])
    counted = [record for record in trials if record.spec.seed in first]
    comparison = compare_records(counted, question)
    ended: dict[str, set[int]] = {
        configuration: set() for row in comparison.rows for configuration in row.configurations
    }
    for record in counted:
        if record.status in ENDED:
            ended[record.spec.configuration_id].add(record.spec.seed)
    num_ended = min(map(len, ended.values()))
    if len(first) < num_seeds or num_ended < num_seeds:
        why = f"not judged before the {num_seeds} seeds that were declared have run ({num_ended} so far)"
        return without_verdicts(comparison, why)
    if len(seeds) > num_seeds:
        fact = f"seeds: {num_seeds}, as declared; {len(seeds) - num_seeds} more are not judged"
        return replace(comparison, facts=(*comparison.facts, fact))
    return comparison
