"""What a grid came to."""

from __future__ import annotations

from support import journals

from benchbench.compare.adaptive import AdaptiveProgress
from benchbench.config.compare_section import read_comparison
from benchbench.config.design import Design
from benchbench.driver.grid_result import GridResult, Trial
from benchbench.driver.plan import Planned
from benchbench.protocol.jobs import Resolved


def test_a_design_that_was_interrupted_between_two_looks_is_not_finished() -> None:
    trial = Trial(Planned(Resolved(journals.SPEC, "d" * 64, {}), "run", "new"), "finished", is_new=True)
    progress = AdaptiveProgress.begin(read_comparison({})[0], Design.after((0,), (3, 5), num_configurations=2))
    assert GridResult("grid", (trial,), is_interrupted=True, progress=progress).status == "killed"
    assert GridResult("grid", (trial,), is_interrupted=True).status == "finished"
