"""The load of the machine while a trial runs, sampled in the same process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import psutil
import torch

from benchbench.records.noise import judge_noise
from benchbench.records.processors import allowed_processors, group_seconds, num_processors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

MIN_SECONDS = 0.5
"""Systems count processor time in hundredths of a second: over less than this, a fraction of it is noise."""

OTHERS_CPU = "other_processes_cpu_percentage"
OTHERS_GPU = "other_processes_utilization_percentage"

_MEGABYTE = 1e6

_suspensions: list[None] = []
"""One entry for each time that this process was suspended."""


def count_suspensions() -> None:
    """Count from now on how often this process is suspended, as by Ctrl-Z: all clocks run on meanwhile."""
    signal.signal(signal.SIGCONT, lambda *_: _suspensions.append(None))


class SystemSampler:
    """Samples load and memory in a thread; :meth:`means` covers the time since the last call.

    Keys are MLflow's own, without the prefix ``system/``. Use as a context manager.
    """

    def __init__(self, device: torch.device, *, every_seconds: float = 1.0) -> None:
        self._device = device
        self._every_seconds = every_seconds
        self._process = psutil.Process()
        self._samples: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-sampler", daemon=True)
        # Workers beside one on a GPU have processors of their own, and its load is measured apart.
        self._now = partial(ProcessorTime.now, with_siblings=device.type == "cuda")
        self._since = self._now()

    def __enter__(self) -> Self:
        psutil.cpu_percent()  # for a first sample in this thread: psutil measures since the last call in a thread
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def means(self) -> dict[str, float]:
        """Return the means of all samples since the last call; takes one now if there is none."""
        with self._lock:
            taken, self._samples = self._samples, defaultdict(list)
        means = {key: sum(values) / len(values) for key, values in taken.items()} if taken else self._sample()
        now = self._now()
        others = now.fraction_of_others(self._since)
        if others is not None:
            means[OTHERS_CPU] = 100 * others
        self._since = now
        return means

    def _run(self) -> None:
        psutil.cpu_percent()
        while not self._ended.wait(self._every_seconds):
            sample = self._sample()
            with self._lock:
                for key, value in sample.items():
                    self._samples[key].append(value)

    def _sample(self) -> dict[str, float]:
        memory = psutil.virtual_memory()
        sample = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            "process_memory_usage_megabytes": self._process.memory_info().rss / _MEGABYTE,
        }
        return sample | _frequency() | gpu_sample(self._device)


@dataclass(frozen=True)
class ProcessorTime:
    """Seconds up to a moment: of the clock, of our processors being busy, and of each process of ours being busy.

    ``num_suspensions`` is how often this process was suspended before. ``group`` are the seconds of all processes that
    share a quota of processors with this one.
    """

    clock: float
    busy: float
    ours: Mapping[int, float]
    num_suspensions: int = 0
    group: float | None = None

    @staticmethod
    def now(*, with_siblings: bool = False) -> ProcessorTime:
        """Return the times up to this moment; ours are those of this process, its children and its parent, the driver.

        With siblings, they are also those of all other workers of the driver.
        """
        times = psutil.cpu_times(percpu=True)
        busy = sum(_busy_seconds(times[number]) for number in allowed_processors() if number < len(times))
        ours = {pid: _seconds_of(pid) for pid in _our_pids(with_siblings=with_siblings)}
        return ProcessorTime(time.monotonic(), busy, ours, len(_suspensions), group_seconds())

    def fraction_of_others(self, before: ProcessorTime) -> float | None:
        """Return the fraction of our processors' time that other processes took from us since then, 0 to 1.

        None if the time was too short to tell, or if this process has a quota and nothing tells who used it; 1 if this
        process was suspended meanwhile.
        """
        if self.num_suspensions > before.num_suspensions:
            return 1.0
        seconds = self.clock - before.clock
        if seconds < MIN_SECONDS:
            return None
        # How long a process was busy that has ended meanwhile is unknown, and counts as nothing.
        ours = sum(seconds - before.ours.get(pid, 0.0) for pid, seconds in self.ours.items())
        others = (self.busy - before.busy) - ours
        num_allowed, num_usable = len(allowed_processors()), num_processors()
        of_host = disturbance(others / seconds, num_allowed=num_allowed, num_usable=num_usable)
        if num_usable >= num_allowed:
            return of_host
        if self.group is None or before.group is None:
            return None
        in_group = (self.group - before.group - ours) / seconds
        return max(of_host, min(1.0, in_group / num_usable))


def disturbance(num_others: float, *, num_allowed: int, num_usable: float) -> float:
    """Return the fraction of our processors that others took, if they kept ``num_others`` busy on average.

    We may run on ``num_allowed`` processors, and keep ``num_usable`` of them busy: what is left is there for others.
    """
    taken = num_others - (num_allowed - num_usable)
    return min(1.0, max(0.0, taken / num_usable))


def fraction_on_gpu(system: dict[str, float]) -> float | None:
    """Return the fraction of a GPU's time that other processes computed, 0 to 1, from means; None if it is unknown."""
    return _largest_fraction(system, OTHERS_GPU)


def _largest_fraction(system: dict[str, float], ending: str) -> float | None:
    of_others = [value for key, value in system.items() if key.endswith(ending)]
    return min(1.0, max(of_others) / 100) if of_others else None


def is_noisy(system: dict[str, float], *, on_gpu: bool = False) -> bool | None:
    """Tell from the means of an epoch whether other processes took so much that its times say little.

    None if that was not measured: the epoch was too short to tell, or the load of the GPU is unknown.
    """
    return judge_noise(_largest_fraction(system, OTHERS_CPU), fraction_on_gpu(system), on_gpu=on_gpu)


def gpu_sample(device: torch.device) -> dict[str, float]:
    """Return a CUDA device's memory in use and, if NVIDIA's library tells it, its utilization."""
    if device.type != "cuda":
        return {}
    index = device.index or 0
    sample: dict[str, float] = {}
    # NVIDIA's library raises errors of its own, for a part of a GPU (MIG) or without permission. A trial trains on.
    with suppress(Exception):
        free, total = torch.cuda.mem_get_info(device)
        sample[f"gpu_{index}_memory_usage_megabytes"] = (total - free) / _MEGABYTE
        sample[f"gpu_{index}_memory_usage_percentage"] = 100 * (total - free) / total
        sample[f"gpu_{index}_utilization_percentage"] = float(torch.cuda.utilization(device))
        of_others = _utilization_by_others(device)
        if of_others is not None:
            sample[f"gpu_{index}_{OTHERS_GPU}"] = of_others
    return sample


def _utilization_by_others(device: torch.device) -> float | None:
    """Return how much of the last second other processes computed on a GPU, in percent, or None if none can tell.

    Some containers number processes on their own, so that this process cannot be identified.
    """
    nvml: Any = import_module("pynvml")
    handle = torch.cuda._get_pynvml_handler(device)  # noqa: SLF001 - as torch.cuda.utilization
    if os.getpid() not in {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}:
        return None
    since = int(1e6 * (time.time() - 1))
    busy: dict[int, list[int]] = defaultdict(list)
    for sample in nvml.nvmlDeviceGetProcessUtilization(handle, since):
        busy[sample.pid].append(sample.smUtil)
    return float(sum(sum(values) / len(values) for pid, values in busy.items() if pid != os.getpid()))


def _frequency() -> dict[str, float]:
    """Return the mean clock of the processors, if the system tells it: one that is too hot slows down."""
    try:
        megahertz = psutil.cpu_freq().current
    except (OSError, NotImplementedError, AttributeError):  # None if the system does not tell
        return {}
    return {"cpu_frequency_megahertz": megahertz} if megahertz else {}


def _busy_seconds(times: Any) -> float:
    # Time that the host of a virtual machine gave to others is neither idle nor ours.
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def _our_pids(*, with_siblings: bool) -> set[int]:
    pids = {os.getpid(), os.getppid()}
    with suppress(psutil.Error):
        # Those that torch.compile keeps to compile for a GPU, and a plugin's own.
        pids |= {child.pid for child in psutil.Process().children(recursive=True)}
        if with_siblings:
            pids |= {child.pid for child in psutil.Process(os.getppid()).children()}
    return pids


def _seconds_of(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    # A compiler that torch.compile started, and that has ended; the children of the driver are other workers.
    of_children = times.children_user + times.children_system if pid == os.getpid() else 0.0
    return times.user + times.system + of_children
