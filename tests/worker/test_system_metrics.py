"""What other processes and GPUs do beside a trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from benchbench.records.processors import allowed_processors, group_seconds, num_processors, quota
from benchbench.worker.system_metrics import OTHERS_CPU, ProcessorTime, SystemSampler, disturbance, gpu_sample, is_noisy

if TYPE_CHECKING:
    from pathlib import Path

BUSY = "while :; do :; done"
"""A command that computes until it is killed."""


@pytest.mark.parametrize(
    ("num_others", "num_allowed", "num_usable", "expected"),
    [
        (0.2, 2, 2.0, 0.1),
        (62.0, 64, 2.0, 0.0),  # a container of two processors on a large host: there is room for the others
        (63.0, 64, 2.0, 0.5),
        (90.0, 64, 2.0, 1.0),
        (-0.01, 2, 2.0, 0.0),
    ],
)
def test_others_disturb_when_they_take_processors_that_we_may_use(
    num_others: float, num_allowed: int, num_usable: float, expected: float
) -> None:
    assert disturbance(num_others, num_allowed=num_allowed, num_usable=num_usable) == pytest.approx(expected)


def test_what_is_too_short_to_tell_is_not_called_quiet() -> None:
    before = ProcessorTime(clock=10.0, busy=5.0, ours={1: 5.0})
    assert replace(before, clock=10.01).fraction_of_others(before) is None
    assert replace(before, clock=12.0).fraction_of_others(before) == 0.0
    assert is_noisy({}) is None
    assert is_noisy({OTHERS_CPU: 1.0}) is False
    assert is_noisy({OTHERS_CPU: 90.0}) is True


def test_time_in_which_the_process_was_suspended_is_not_called_quiet() -> None:
    before = ProcessorTime(clock=10.0, busy=5.0, ours={1: 5.0})
    assert replace(before, clock=3610.0, num_suspensions=1).fraction_of_others(before) == 1.0


def test_the_first_sample_of_an_epoch_is_measured_like_all_others() -> None:
    with SystemSampler(torch.device("cpu"), every_seconds=0.3) as sampler:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            pass
        assert sampler.means()["cpu_utilization_percentage"] > 0


def test_what_a_child_of_ours_computes_is_not_taken_from_us() -> None:
    before = ProcessorTime.now()
    busy = "import time; until = time.monotonic() + 1\nwhile time.monotonic() < until: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    ours = ProcessorTime.now().ours[os.getpid()] - before.ours[os.getpid()]
    assert ours > 0.3


def test_what_a_child_of_a_child_computes_is_ours_while_it_runs() -> None:
    with subprocess.Popen(["/bin/sh", "-c", f"{BUSY} & echo $!; wait"], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout
        pid = int(shell.stdout.readline())
        try:
            before = ProcessorTime.now()
            time.sleep(1)
            assert ProcessorTime.now().ours[pid] > before.ours[pid]
        finally:
            os.kill(pid, signal.SIGKILL)


def test_the_smallest_quota_of_a_control_group_and_those_above_it_counts(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    assert quota(tmp_path, "/outer/inner") == float("inf")
    (tmp_path / "cpu.max").write_text("800000 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    assert quota(tmp_path, "/outer/inner") == 1.5
    assert quota(tmp_path, "/") == 8
    assert quota(tmp_path, "/elsewhere") == 8


def test_what_others_used_of_a_quota_is_told_by_their_control_group(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    assert group_seconds(tmp_path, "/outer/inner") is None
    (tmp_path / "outer" / "cpu.max").write_text("150000 100000\n")
    assert group_seconds(tmp_path, "/outer/inner") is None
    (tmp_path / "outer" / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
    assert group_seconds(tmp_path, "/outer/inner") == 2.5


def test_in_a_quota_a_process_beside_this_one_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.worker.system_metrics.num_processors", lambda: 0.5)
    before = ProcessorTime(0.0, 0.0, {1: 0.0}, group=0.0)
    alone, beside, unknown = (
        ProcessorTime(10.0, 3.0, {1: 3.0}, group=group).fraction_of_others(before) for group in (3.0, 5.0, None)
    )
    assert (alone, beside, unknown) == (0.0, pytest.approx(0.4), None)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_is_bound_to_one_processor_may_use_one() -> None:
    before = os.sched_getaffinity(0)
    one = min(before)
    os.sched_setaffinity(0, {one})
    try:
        assert allowed_processors() == (one,)
        assert num_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_gpu_that_tells_nothing_costs_its_metrics_and_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    class NvmlError(Exception):
        """As NVIDIA's library raises: no RuntimeError."""

    def refuse(_: object) -> float:
        raise NvmlError("insufficient permissions")

    gpu = torch.device("cuda:3")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (25, 100))
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert gpu_sample(gpu) == {"gpu_3_memory_usage_megabytes": 75e-6, "gpu_3_memory_usage_percentage": 75}
    monkeypatch.setattr(torch.cuda, "mem_get_info", refuse)
    assert gpu_sample(gpu) == {}


def nvidia_library(utilizations: dict[int, int]) -> SimpleNamespace:
    """Return a library that knows these processes, and how much of a GPU each uses in percent."""
    samples = [SimpleNamespace(pid=pid, smUtil=percent) for pid, percent in utilizations.items()]
    return SimpleNamespace(
        nvmlDeviceGetComputeRunningProcesses=lambda _: samples,
        nvmlDeviceGetProcessUtilization=lambda _, __: samples,
    )


@pytest.mark.parametrize(
    ("others", "knows_us", "noisy"), [({1: 30, 2: 4}, True, True), ({}, True, False), ({1: 30}, False, None)]
)
def test_an_epoch_is_noisy_if_other_processes_compute_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, *, others: dict[int, int], knows_us: bool, noisy: bool | None
) -> None:
    ours = {os.getpid(): 60} if knows_us else {}
    monkeypatch.setitem(sys.modules, "pynvml", nvidia_library(ours | others))
    monkeypatch.setattr(torch.cuda, "_get_pynvml_handler", lambda _: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (25, 100))
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 90)
    sample = gpu_sample(torch.device("cuda:0"))
    assert sample.get("gpu_0_other_processes_utilization_percentage") == (sum(others.values()) if knows_us else None)
    assert is_noisy(sample | {"other_processes_cpu_percentage": 0.0}, on_gpu=True) is noisy
    assert is_noisy(sample | {"other_processes_cpu_percentage": 20.0}, on_gpu=True) is True


def test_workers_beside_this_one_are_no_others_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its parent ends at once, so that it is no descendant of this process.
    orphan = int(subprocess.check_output(["/bin/sh", "-c", f"{BUSY} >/dev/null & echo $!"], text=True))
    try:
        parent = psutil.Process(orphan).ppid()
        monkeypatch.setattr(os, "getppid", lambda: parent)
        alone, together = ProcessorTime.now(), ProcessorTime.now(with_siblings=True)
        time.sleep(1)
        told = [ProcessorTime.now(with_siblings=are_ours).ours for are_ours in (False, True)]
        assert orphan not in told[0]
        assert told[1][orphan] > together.ours[orphan]
        assert alone.ours.keys() == told[0].keys()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_worker_that_ended_takes_no_time_back() -> None:
    before = ProcessorTime(clock=10.0, busy=500.0, ours={1: 5.0, 2: 400.0})
    after = ProcessorTime(clock=12.0, busy=500.5, ours={1: 5.5})
    assert after.fraction_of_others(before) == 0.0
