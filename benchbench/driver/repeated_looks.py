"""Makes comparisons stricter at each look with more seeds."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare import compare_records, formatting
from benchbench.compare.adaptive import replay_looks
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.designed_comparison import compare_by_design
from benchbench.compare.groups import ComparedGroup, Group, num_configurations, split
from benchbench.compare.learning import ENDED
from benchbench.errors import SpecError, TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchbench.compare import Comparison
    from benchbench.compare.comparison import Row
    from benchbench.config.compare_section import Question
    from benchbench.config.design import Design
    from benchbench.records.record import Record
    from benchbench.tracking.look_history import LookHistory


_OTHER_DESIGN = (
    "seeds of some of these trials were added depending on results, which these verdicts do not account for: there are"
    " more configurations here than in the grid that did so"
)


@dataclass(frozen=True)
class LookRecorder:
    """Records looks at the comparisons of one experiment; ``note`` is told if that fails.

    ``design`` is the adaptive design of the trials, if they have one, and ``earlier`` are those that it had before its
    file was changed.
    """

    history: LookHistory
    note: Callable[[str], None]
    design: Design | None = None
    earlier: Sequence[Design] = ()

    def record(self, comparison: Comparison, records: Sequence[Record], *, is_declared: bool) -> list[int]:
        """Record a look at a comparison, and return the number of trials at each look so far; none if that fails.

        Looks of a design are not recorded, since its trials determine them. This look then stands behind those that
        were recorded without it.
        """
        key = _comparison_key(comparison.baseline, records)
        tests = _tests(comparison, records, is_declared=is_declared)
        try:
            if self.design is None:
                return self.history.record_look(key, tests)
            return [*self.history.recorded_looks(key, tests), len(records)]
        except TrackingError as error:
            self.note(error.message)
            return []


def compare_groups_and_record_looks(
    records: Sequence[Record], question: Question, recorder: LookRecorder
) -> tuple[ComparedGroup, ...]:
    """Record a look at each group of trials that can be compared, and return the comparisons.

    A design is that of one group. Raises :class:`~benchbench.errors.SpecError` if the question has no answer in any
    group.
    """
    groups = groups_of(records, question, recorder.design)
    compared, errors = [], []
    for part in groups:
        is_of_design = len(groups) == 1 or _is_of(recorder.design, part.records)
        part_recorder = recorder if is_of_design else replace(recorder, design=None, earlier=())
        try:
            comparison = compare_and_record_look(part.records, question, part_recorder)
        except SpecError as error:
            errors.append(error)
            compared.append(ComparedGroup(part.heading, part.records, obstacle=error.message))
        else:
            compared.append(ComparedGroup(part.heading, part.records, comparison))
    if len(errors) == len(groups):
        raise errors[0]
    return tuple(compared)


def compare_and_record_look(records: Sequence[Record], question: Question, recorder: LookRecorder) -> Comparison:
    """Record a look at a comparison, and return it: that of a design or, if none was declared, at this look's level.

    The first look has the whole level, the second half of it, the third a quarter. They add up to less than twice the
    level, however often somebody adds seeds and looks again. Only a design that was declared before the first look
    keeps to the level, and a warning tells if looks were taken before, or by earlier designs. A design of fewer
    configurations than these is not theirs.
    """
    if recorder.design is not None and _has_more(records, recorder.design):
        comparison = compare_and_record_look(records, question, replace(recorder, design=None, earlier=()))
        return replace(comparison, warnings=(*comparison.warnings, _OTHER_DESIGN))
    comparison = compare_by_design(records, question, recorder.design)
    changed = _earlier_design_warnings(records, question, recorder)
    is_declared = question.seeds is not None
    looks = recorder.record(comparison, records, is_declared=is_declared)
    if len(looks) > 1 and recorder.design is None and not is_declared:
        comparison = _compare_at_look(len(looks), records, question)
    repeated = _look_warnings(looks, question, recorder.design)
    return replace(comparison, warnings=(*comparison.warnings, *changed, *repeated))


def _has_more(records: Sequence[Record], design: Design) -> bool:
    """Tell whether more configurations than those of a design have seeds of its first look, which then never comes."""
    first_seeds = design.seeds[: design.looks[0]]
    seen = [record for record in records if record.spec.seed in first_seeds]
    return num_configurations(seen) > design.num_configurations


def _compare_at_look(number: int, records: Sequence[Record], question: Question) -> Comparison:
    """Return the comparison at the level of its second or a later look."""
    planned = 1 - question.confidence
    level = _level_of_look(number, planned)
    comparison = compare_records(records, question.model_copy(update={"confidence": 1 - level}))
    return replace(comparison, level_of_looks=2 * planned - level)


def _level_of_look(number: int, planned: float) -> float:
    return planned / 2.0 ** (number - 1)


def groups_of(records: Sequence[Record], question: Question, design: Design | None) -> tuple[Group, ...]:
    """Return the groups that can be compared; if none is that of the design, groups are not split by their seeds."""
    groups = split(records, question)
    if design is None or any(_is_of(design, part.records) for part in groups):
        return groups
    return split(records, question, by_seeds=False)


def _is_of(design: Design | None, records: Sequence[Record]) -> bool:
    return design is not None and num_configurations(records) == design.num_configurations


def _comparison_key(baseline: Row, records: Sequence[Record]) -> str:
    """Return a key that looks at the same baseline on the same images share, whatever is compared with it."""
    return json.dumps([baseline.configurations, _images(baseline, _images_by_configuration(records))])


def _images_by_configuration(records: Iterable[Record]) -> dict[str, set[tuple[str, str]]]:
    """Return the datasets of each configuration's trials, each with the digest of its images."""
    images: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        images[record.spec.configuration_id].add((record.spec.dataset.name, record.data_digest))
    return images


def _images(row: Row, by_configuration: Mapping[str, set[tuple[str, str]]]) -> list[tuple[str, str]]:
    return sorted(set().union(*(by_configuration[name] for name in row.configurations)))


def _earlier_design_warnings(records: Sequence[Record], question: Question, recorder: LookRecorder) -> tuple[str, ...]:
    """Return a warning if looks were taken by earlier designs that look at other seeds than the present one."""
    design = recorder.design
    others = {(one.seeds, one.looks): one for one in recorder.earlier if not one.has_looks_of(design)}
    taken: list[str] = []
    for one in others.values():
        number = design.num_configurations if design else one.num_configurations
        progress = replay_looks(one_per_trial(records), question, replace(one, num_configurations=number))
        if progress.comparisons:
            taken.append(", ".join(map(str, one.looks[: len(progress.comparisons)])))
    if not taken:
        return ()
    planned = 1 - question.confidence
    text = (
        f"`decide` was changed after looks at {' and '.join(taken)} seeds: each of its versions has a level of its own,"
        f" so the chance of a false verdict in any of them is up to {formatting.percent((len(taken) + 1) * planned)}"
    )
    return (text,)


def _tests(comparison: Comparison, records: Sequence[Record], *, is_declared: bool) -> dict[str, int]:
    """Return the number of trials on both sides of each test; cells without a verdict were not tested.

    Finished trials count. In a declared design, failed ones count too: it is over once all have ended, and failed
    ones are tried again. They also count in the test of how many seeds learned, whose metric is ``learned``.
    """

    def count(row: Row, endings: Iterable[str]) -> int:
        return sum(side.statuses.get(ending, 0) for side in (row, comparison.baseline) for ending in endings)

    finished, tests, images = ENDED if is_declared else ("finished",), {}, _images_by_configuration(records)
    for row in comparison.rows:
        name = f"{' '.join(row.configurations)} {_images(row, images)}"
        if row.learning.p_value is not None:
            tests[f"learned {name}"] = count(row, ENDED)
        for metric, cell in row.cells.items():
            if cell.contrast and cell.contrast.p_value is not None:
                tests[f"{metric} {name}"] = count(row, finished)
    return tests


def _look_warnings(looks: Sequence[int], question: Question, design: Design | None) -> tuple[str, ...]:
    """Return a warning if there were looks before this one."""
    planned = 1 - question.confidence
    if len(looks) <= 1:
        return ()
    if design is not None:
        return (_late_design_warning("decide", looks, planned),)
    if question.seeds is not None:
        return (_late_design_warning("seeds", looks, planned),)
    return (_repeated_look_warning(looks, planned),)


def _late_design_warning(key: str, looks: Sequence[int], planned: float) -> str:
    return (
        f"this comparison was judged before, with {_numbers(looks[:-1])} trials, when `{key}` was not in [compare] yet:"
        f" each look adds its own chance of error, so the chance of any false verdict is up to"
        f" {formatting.percent(len(looks) * planned)}"
    )


def _repeated_look_warning(looks: Sequence[int], planned: float) -> str:
    level = _level_of_look(len(looks), planned)
    asked, stricter, together = map(formatting.percent, (planned, level, 2 * planned - level))
    return (
        f"look {len(looks)} at this comparison, after looks at {_numbers(looks[:-1])} trials: each look is another"
        f" chance of a false verdict, so this one has a level of {stricter}, and all looks together have {together}."
        f" To keep to {asked}, set `seeds` or `decide` in [compare] before the first look"
    )


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
