"""Makes comparisons stricter at each look with more seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.compare import compare_records, formatting
from benchbench.compare.adaptive import follow
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.designed_comparison import compare_as_designed
from benchbench.compare.groups import ComparedGroup, Group, num_configurations, split
from benchbench.errors import SpecError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchbench.compare import Comparison
    from benchbench.compare.comparison import Row
    from benchbench.config.compare_section import Compare
    from benchbench.config.design import Design
    from benchbench.records.record import Record
    from benchbench.tracking.remembered_looks import LookMemory


def compare_groups_at_this_look(
    records: Sequence[Record],
    question: Compare,
    design: Design | None,
    memory: LookMemory,
    note: Callable[[str], None],
    *,
    earlier: Sequence[Design] = (),
) -> tuple[ComparedGroup, ...]:
    """Return the comparison of each group of trials that can be compared; a design is that of one group.

    Raises :class:`~benchbench.errors.SpecError` if the question has no answer in any group.
    """
    groups = _groups(records, question, design)
    compared, errors = [], []
    for part in groups:
        is_of_design = len(groups) == 1 or _is_of(design, part.records)
        of_part, before = (design, earlier) if is_of_design else (None, ())
        try:
            comparison = compare_at_this_look(part.records, question, of_part, memory, note, earlier=before)
        except SpecError as error:
            errors.append(error)
            compared.append(ComparedGroup(part.heading, part.records, obstacle=error.message))
        else:
            compared.append(ComparedGroup(part.heading, part.records, comparison))
    if len(errors) == len(groups):
        raise errors[0]
    return tuple(compared)


def compare_at_this_look(
    records: Sequence[Record],
    question: Compare,
    design: Design | None,
    memory: LookMemory,
    note: Callable[[str], None],
    *,
    earlier: Sequence[Design] = (),
) -> Comparison:
    """Return the comparison of a design or, if none was declared, at the level of this look.

    The first look has the whole level, the second half of it, the third a quarter. They add up to less than twice the
    level, however often somebody adds seeds and looks again. Only a design that was declared before the first look
    keeps to the level, and a warning tells if looks were taken before, or by ``earlier`` designs. ``note`` is told if
    the looks cannot be remembered.
    """
    comparison = compare_as_designed(records, question, design)
    changed = _on_earlier(records, question, design, earlier)
    comparison = replace(comparison, warnings=(*comparison.warnings, *changed))
    identity = _identity(comparison.baseline, records)
    tests = _tests(comparison, is_declared=question.seeds is not None)
    try:
        looks = memory.look(identity, tests) if design is None else [*memory.past(identity, tests), len(records)]
    except TrackingError as error:
        note(error.message)
        return comparison
    if len(looks) <= 1:
        return comparison
    whole = 1 - question.confidence
    if design is not None or question.seeds is not None:
        late = _on_late_design("seeds" if design is None else "decide", looks, whole)
        return replace(comparison, warnings=(*comparison.warnings, late))
    level = whole / 2 ** (len(looks) - 1)
    again = compare_records(records, question.model_copy(update={"confidence": 1 - level}))
    warnings = (*again.warnings, *changed, _warning(looks, level, whole))
    return replace(again, warnings=warnings, level_of_looks=2 * whole - level)


def _groups(records: Sequence[Record], question: Compare, design: Design | None) -> tuple[Group, ...]:
    """Return the groups that can be compared; if none is that of the design, groups are not split by their seeds."""
    groups = split(records, question)
    if design is None or any(_is_of(design, part.records) for part in groups):
        return groups
    return split(records, question, by_seeds=False)


def _is_of(design: Design | None, records: Sequence[Record]) -> bool:
    return design is not None and num_configurations(records) == design.num_configurations


def _identity(baseline: Row, records: Sequence[Record]) -> str:
    """Return a key that looks at the same baseline on the same images share, whatever is compared with it."""
    images = sorted({(record.spec.dataset.name, record.data_digest) for record in records})
    return json.dumps([baseline.configurations, images])


def _on_earlier(
    records: Sequence[Record], question: Compare, design: Design | None, earlier: Sequence[Design]
) -> tuple[str, ...]:
    """Return a warning if looks were taken by designs that look at other seeds than this one."""
    others = {(one.seeds, one.looks): one for one in earlier if not one.has_looks_of(design)}
    taken: list[str] = []
    for one in others.values():
        number = design.num_configurations if design else one.num_configurations
        course = follow(one_per_trial(records), question, replace(one, num_configurations=number))
        if course.comparisons:
            taken.append(", ".join(map(str, one.looks[: len(course.comparisons)])))
    if not taken:
        return ()
    whole = 1 - question.confidence
    text = (
        f"`decide` was changed after looks at {' and '.join(taken)} seeds: each of its versions has a level of its own,"
        f" so the chance of a false verdict in any of them is up to {formatting.percent((len(taken) + 1) * whole)}"
    )
    return (text,)


def _tests(comparison: Comparison, *, is_declared: bool) -> dict[str, int]:
    """Return the number of trials on both sides of each test; cells without a verdict were not tested.

    Finished trials count. In a declared design, failed ones count too: it is over once all have ended, and failed
    ones are tried again.
    """
    endings = ("finished", "failed") if is_declared else ("finished",)

    def count(row: Row) -> int:
        return sum(row.statuses.get(ending, 0) for ending in endings)

    return {
        f"{metric} {' '.join(row.configurations)}": count(row) + count(comparison.baseline)
        for row in comparison.rows
        for metric, cell in row.cells.items()
        if cell.contrast and cell.contrast.p_value is not None
    }


def _on_late_design(key: str, looks: Sequence[int], whole: float) -> str:
    return (
        f"this comparison was judged before, with {_numbers(looks[:-1])} trials, when `{key}` in [compare] did not say"
        f" so: each look has a level of its own, so the chance of a false verdict in any of them is up to"
        f" {formatting.percent(len(looks) * whole)}"
    )


def _warning(looks: Sequence[int], level: float, whole: float) -> str:
    planned, stricter, together = (formatting.percent(value) for value in (whole, level, 2 * whole - level))
    return (
        f"look {len(looks)} at this comparison, after looks at {_numbers(looks[:-1])} trials: since each look is a"
        f" chance of a false verdict, verdicts and intervals are at {stricter}. All looks together have a level of"
        f" {together}, not {planned}. They keep to {planned}"
        " only if `seeds` or `decide` in [compare] says beforehand when to look"
    )


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
