"""What MLflow shows for a grid once its trials have ended: their records and their comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.compare.groups import ComparedGroup
    from benchbench.config.design import Design
    from benchbench.config.grid_file import GridFile
    from benchbench.driver.plan import Planned
    from benchbench.records.journal import Journal
    from benchbench.records.record import Record
    from benchbench.report.grid_page import GridPage
    from benchbench.tracking import Store


@dataclass(frozen=True)
class GridDescription:
    """Describes a grid by its file, the text of that file, and the designs that it had at earlier calls.

    ``note`` is told what a comparison leaves out.
    """

    grid: GridFile
    text: str
    store: Store
    earlier: tuple[Design, ...]
    note: Callable[[str], None]

    def page(
        self,
        wanted: Sequence[Planned],
        records: Iterable[Record | None],
        *,
        progress: AdaptiveProgress | None,
        is_over: bool,
    ) -> GridPage:
        """Return the page of a grid with a record, or None, for each trial that was asked for."""
        from benchbench.compare.configurations import baseline_first
        from benchbench.driver.repeated_looks import LookRecorder, compare_groups_and_record_looks
        from benchbench.report.grid_page import grid_page
        from benchbench.tracking.look_history import LookHistory

        grid = self.grid
        known = baseline_first(filter(None, records), [item.resolved.spec for item in wanted])
        history = LookHistory(self.store.client, self.store.experiment_id)
        recorder = LookRecorder(history, self.note, grid.design, self.earlier)

        def compare() -> tuple[ComparedGroup, ...]:
            if not is_over and grid.design is None and grid.question.seeds is None:
                # A look with fewer seeds than asked for would be of no use, and would cost part of the level.
                raise SpecError("the grid ended before all of its trials had run")
            return compare_groups_and_record_looks(known, grid.question, recorder)

        return grid_page(grid, self.text, known, num_trials=len(wanted), progress=progress, compare=compare)


def read_record(planned: Planned, journal: Journal | None, store: Store) -> Record | None:
    """Return the record of a trial that began: from its journal, or else from the run that MLflow has."""
    journal = journal or planned.journal
    if journal is not None and journal.exists():
        return journal.record()
    if planned.action != "skip" or planned.finished is None or not planned.finished.run_id:
        return None
    from benchbench.tracking.stored_records import read_run

    return read_run(store, planned.finished.run_id)
