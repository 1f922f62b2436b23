"""Records as a table of pandas."""

from __future__ import annotations

from dataclasses import replace

from support.made_records import made, spec

from benchbench.compare.frame import to_frame


def test_a_trial_that_was_resumed_elsewhere_has_both_devices() -> None:
    here = made(spec(0))
    gpu = replace(here.machine, hostname="elsewhere", device="cuda", device_name="A GPU", num_threads=8)
    moved = to_frame([here, replace(here, resumed_on=(gpu,))])[["hostname", "device", "device_name", "num_threads"]]
    assert moved.loc[0].tolist() == ["testhost", "cpu", "Some Processor", 2]
    assert moved.loc[1].tolist()[:3] == ["testhost, then elsewhere", "cpu, then cuda", "Some Processor, then A GPU"]
    assert moved["num_threads"].isna().tolist() == [False, True]
