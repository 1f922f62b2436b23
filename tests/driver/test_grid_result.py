"""What a grid came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import journals

from benchbench.compare.adaptive import AdaptiveProgress
from benchbench.config.compare_section import read_comparison
from benchbench.config.design import Design
from benchbench.driver.grid_result import GridResult, Trial
from benchbench.driver.plan import Planned
from benchbench.driver.trials import _trial
from benchbench.protocol.jobs import Resolved

if TYPE_CHECKING:
    from pathlib import Path


def test_a_design_that_was_interrupted_between_two_looks_is_not_finished() -> None:
    trial = Trial(Planned(Resolved(journals.SPEC, "d" * 64, {}), "run", "new"), "finished", is_new=True)
    progress = AdaptiveProgress.begin(read_comparison({})[0], Design.after((0,), (3, 5), num_configurations=2))
    assert GridResult("grid", (trial,), is_interrupted=True, progress=progress).status == "killed"
    assert GridResult("grid", (trial,), is_interrupted=True).status == "finished"


def test_a_result_has_the_records_of_trials_that_finished_before_as_well(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.finished())
    resolved = Resolved(journals.SPEC, "d" * 64, {})
    here = _trial(Planned(resolved, "skip", "finished", journal=journal), None, None)
    elsewhere = _trial(Planned(resolved, "skip", "finished"), None, None)
    result = GridResult("grid", (here, elsewhere))
    assert result.records == [journal.record()]
    assert [trial.is_new for trial in result.trials] == [False, False]
