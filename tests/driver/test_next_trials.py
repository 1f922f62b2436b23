"""Which trials come next in an adaptive design, and when it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from support.comparisons import question
from support.made_records import made, spec

from benchbench.compare.adaptive import AdaptiveProgress, replay_looks
from benchbench.config.design import Design
from benchbench.driver.next_trials import AdaptiveTrials
from benchbench.driver.watcher import Watcher

if TYPE_CHECKING:
    from benchbench.config.spec import Spec
    from benchbench.records.record import Record

RATES = (0.1, 0.2, 0.3)
QUESTION = question(by=["optimizer.lr"], baseline={"optimizer.lr": 0.1})
DESIGN = Design.after((0,), (3, 5), num_configurations=len(RATES))


def planned(of: Spec) -> Any:
    return SimpleNamespace(resolved=SimpleNamespace(spec=of))


def test_a_configuration_that_cannot_start_ends_the_design_without_a_verdict_for_all_who_read_it() -> None:
    plan = [planned(spec(seed, lr=lr)) for lr in RATES for seed in range(5)]
    records: dict[str, Record] = {}

    def record_of(item: Any) -> Record | None:
        of = item.resolved.spec
        if of.optimizer.params["lr"] == RATES[-1]:
            return None
        return records.setdefault(of.id, made(of, 0.5 + of.optimizer.params["lr"] + 0.01 * of.seed))

    jobs: Any = {item.resolved.spec.id: item.resolved.spec.id for item in plan}
    batches = AdaptiveTrials(plan, jobs, AdaptiveProgress.begin(QUESTION, DESIGN), record_of, Watcher())
    assert len(batches.next()) == 9
    assert batches.next() == []
    assert batches.progress.comparisons == replay_looks(list(records.values()), QUESTION, DESIGN).comparisons == ()
    assert "could not start" in batches.progress.obstacle
