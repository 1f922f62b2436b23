"""More epochs for a trial that has finished: it goes on if it can, and says why if it cannot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import journals
from support.paths import PLUGINS

import benchbench as bb
from benchbench.config.spec import PluginSpec
from benchbench.driver.plan import Planned, Rules, plan
from benchbench.protocol.jobs import Resolved
from benchbench.records.claim import Claim
from benchbench.records.events import Resumed
from benchbench.records.journal import Journal
from benchbench.records.known_runs import KnownRuns
from benchbench.records.machine import package_versions
from benchbench.records.record import MlflowRun

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.spec import Spec

SOURCES = {"model": "a", "optimizer": "b"}
DOTS: dict[str, Any] = {"batch_size": 20, "artifacts": "none", "plugins": [PLUGINS / "dots.py"]}


def begin(
    spec: Spec,
    number: int,
    *,
    data: str = "digest",
    experiment_id: str = "1",
    sources: dict[str, str] = SOURCES,
    continued_spec_id: str = "",
) -> Journal:
    """Keep a trial of this spec that was killed before its first epoch ended, with the packages that are here."""
    began = journals.started(f"20260101-00000{number}-abcdef01")
    journal = Journal.of(spec.id, began.attempt)
    facts, machine = replace(began.data, digest=data), replace(began.machine, versions=package_versions())
    journal.append(replace(began, spec=spec, data=facts, machine=machine, plugin_sources=sources))
    journal.set_claim(Claim("store", "bench", experiment_id, continued_spec_id=continued_spec_id))
    return journal


def finish(spec: Spec, number: int, *, checkpoint: bool = True, **more: Any) -> Journal:
    """Keep a trial of this spec that has finished."""
    journal = begin(spec, number, **more)
    journal.append(journals.finished())
    if checkpoint:
        (journal.folder / "checkpoint.pt").touch()
    return journal


def planned(spec: Spec, *, depends_on_length: bool = False, **more: Any) -> Planned:
    """Return what is planned for a spec."""
    item = Resolved(spec, "digest", more.pop("sources", SOURCES), depends_on_length)
    known = KnownRuns(finished={}, deleted_attempts=more.pop("deleted", ()))
    (only,) = plan([item], known, rules=Rules(**{"again": True} | more), tracking_uri="store", experiment_id="1")
    return only


def test_a_longer_trial_goes_on_after_the_longest_that_is_the_same_but_shorter() -> None:
    spec = journals.SPEC
    finish(replace(spec, epochs=2), 1)
    longest = finish(replace(spec, epochs=5), 2)
    finish(replace(spec, epochs=8), 3, checkpoint=False)
    finish(replace(spec, epochs=20), 4)
    finish(replace(spec, epochs=9, seed=8), 5)
    finish(replace(spec, epochs=9), 6, data="other images")
    finish(replace(spec, epochs=9), 7, experiment_id="2")
    item = planned(replace(spec, epochs=10))
    assert item.action == "run"
    assert item.is_continuation
    assert item.shorter is not None
    assert item.shorter.journal == longest
    assert item.why == (
        f"continuing after the 5 epochs of {replace(spec, epochs=5).id[:12]}, as a new run (--fresh trains all 10)"
    )
    longest.set_mlflow_run(MlflowRun("store", "1", "0123456789abcdef"))
    assert planned(replace(spec, epochs=10)).why.startswith("continuing after the 5 epochs of 0123456789ab, ")


@pytest.mark.parametrize(
    ("changes", "kept", "reason"),
    [
        ({}, "nothing", "its checkpoint was not kept (--keep-checkpoints keeps it)"),
        ({"depends_on_length": True}, "checkpoint", "the schedule of cosine depends on the number of epochs"),
        ({"sources": SOURCES | {"model": "changed"}}, "checkpoint", "its model plugin changed since"),
    ],
)
def test_a_longer_trial_that_cannot_go_on_says_why(
    changes: dict[str, Any],
    kept: str,
    reason: str,
) -> None:
    spec = replace(journals.SPEC, scheduler=PluginSpec("cosine", 1, {}))
    finish(replace(spec, epochs=5), 1, checkpoint=kept == "checkpoint")
    item = planned(replace(spec, epochs=10), **changes)
    assert not item.is_continuation
    name = replace(spec, epochs=5).id[:12]
    assert item.why == f"{name} has the first 5 of 10 epochs, but all are trained again: {reason}"


def test_a_trial_that_was_killed_before_it_had_a_checkpoint_still_goes_on_after_the_shorter_one() -> None:
    spec, longer = replace(journals.SPEC, epochs=5), replace(journals.SPEC, epochs=10)
    shorter = finish(spec, 1)
    begun = begin(longer, 2, continued_spec_id=spec.id)
    finish(replace(spec, epochs=7), 3)
    item = planned(longer)
    assert (item.action, item.journal, item.is_continuation) == ("resume", begun, True)
    assert item.shorter is not None
    assert item.shorter.journal == shorter
    assert item.why == f"interrupted; continuing after the 5 epochs of {spec.id[:12]}"
    (shorter.folder / "checkpoint.pt").unlink()
    assert (planned(longer).action, planned(longer).shorter) == ("run", None)
    (begun.folder / "checkpoint.pt").touch()
    assert (planned(longer).action, planned(longer).shorter) == ("resume", None)


def test_a_trial_that_began_from_its_start_goes_on_so() -> None:
    finish(replace(journals.SPEC, epochs=5), 1)
    begun = begin(replace(journals.SPEC, epochs=10), 2)
    item = planned(replace(journals.SPEC, epochs=10))
    assert (item.action, item.journal, item.shorter) == ("resume", begun, None)


def test_a_trial_that_has_no_epoch_begins_anew_if_a_plugin_changed() -> None:
    begin(journals.SPEC, 1, sources=SOURCES | {"model": "old"})
    item = planned(journals.SPEC)
    assert (item.action, item.changes) == ("run", "")
    assert item.why == "interrupted before its first epoch ended"


def test_a_repeat_of_a_stale_trial_that_was_interrupted_is_resumed() -> None:
    spec = journals.SPEC
    finish(spec, 1, sources=SOURCES | {"model": "old"})
    begun = begin(spec, 2)
    begun.append(journals.epoch(1))
    item = planned(spec, again=False, rerun_stale=True)
    assert (item.action, item.journal) == ("resume", begun)
    assert planned(spec, again=False, rerun_stale=True, fresh=True).why == "stale: model plugin changed"


def test_fresh_trials_deleted_runs_and_trials_that_were_there_before_go_on_from_none() -> None:
    spec = journals.SPEC
    journal = finish(replace(spec, epochs=5), 1)
    longer = replace(spec, epochs=10)
    assert planned(longer, fresh=True).shorter is None
    assert planned(longer, deleted=(journal.attempt,)).shorter is None
    finish(longer, 2, checkpoint=False)
    assert planned(longer).shorter is None


@pytest.mark.slow
def test_a_run_with_more_epochs_is_a_new_run_with_the_numbers_of_one_from_the_start(
    workdir: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    short = bb.run("line", "dots", epochs=2, keep_checkpoints=True, **DOTS)
    long = bb.run("line", "dots", epochs=4, **DOTS)
    whole = bb.run("line", "dots", epochs=4, fresh=True, **DOTS)
    assert long.notes == (f"epochs 1 to 2 are those of the finished trial with the spec id {short.spec_id[:12]}",)
    assert whole.notes == ()
    assert long.final == whole.final
    assert [epoch.train_loss for epoch in long.epochs] == [epoch.train_loss for epoch in whole.epochs]
    assert len({record.mlflow.run_id for record in (short, long, whole) if record.mlflow}) == 3
    assert long.times is not None
    assert short.times is not None
    assert long.times.train > short.times.train


def test_a_trial_that_ran_on_several_machines_is_not_gone_on_with() -> None:
    journal = finish(replace(journals.SPEC, epochs=5), 1)
    elsewhere = replace(journals.MACHINE, hostname="elsewhere")
    journal.append(Resumed(num_epochs=0, machine=elsewhere))
    journal.append(journals.finished())
    assert planned(replace(journals.SPEC, epochs=10)).why.endswith(
        "it was resumed on another machine, or with other versions"
    )
