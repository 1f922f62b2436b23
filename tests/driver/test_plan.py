"""What is planned for a trial, by what earlier calls and calls that still run have of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import journals

from benchbench.driver.plan import Planned, Rules, plan
from benchbench.protocol.jobs import Resolved
from benchbench.records.calls import calling
from benchbench.records.claim import Claim
from benchbench.records.journal import Journal
from benchbench.records.known_runs import KnownRuns


def planned() -> Planned:
    known = KnownRuns(finished={}, deleted_attempts=())
    item = Resolved(journals.SPEC, "digest", {})
    (only,) = plan([item], known, rules=Rules(), tracking_uri="store", experiment_id="1")
    return only


@pytest.mark.usefixtures("workdir")
def test_a_trial_is_running_elsewhere_as_long_as_its_call_lives() -> None:
    assert not planned().is_elsewhere
    began = journals.started()
    journal = Journal.of(journals.SPEC.id, began.attempt)
    with calling() as call:
        journal.append(replace(began, data=replace(began.data, digest="digest")))
        journal.set_claim(Claim("store", "bench", "1", call))
        assert (planned().action, planned().is_elsewhere) == ("run", True)
    assert not planned().is_elsewhere
