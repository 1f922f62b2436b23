"""What the machine was doing while a trial ran, sampled beside it in the process that does the work."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil
import torch

from benchbench.records.events import NOISY_FRACTION

if TYPE_CHECKING:
    from types import TracebackType

MIN_SECONDS = 0.5
"""Systems count processor time in hundredths of a second: below this, a share of it would be noise."""

_MEGABYTE = 1e6


class SystemSampler:
    """Samples load and memory in a thread; :meth:`means` gives what came since it was last asked.

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
        self._since = ProcessorTime.now()

    def __enter__(self) -> Self:
        psutil.cpu_percent()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def means(self) -> dict[str, float]:
        """Return the means of all samples since the last call, taking one now where there was none."""
        with self._lock:
            taken, self._samples = self._samples, defaultdict(list)
        means = {key: sum(values) / len(values) for key, values in taken.items()} if taken else self._sample()
        now = ProcessorTime.now()
        means["other_processes_cpu_percentage"] = 100 * now.share_of_others(self._since)
        self._since = now
        return means

    def _run(self) -> None:
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
    """Seconds since the machine and our processes started: of all cores, busy ones, and those that we kept busy."""

    clock: float
    busy: float
    ours: float

    @staticmethod
    def now() -> ProcessorTime:
        """Return the times up to this moment; ours are this process's and its parent's, the driver."""
        times = psutil.cpu_times()
        # Time that the host of a virtual machine gave to others is neither idle nor ours.
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return ProcessorTime(time.monotonic(), sum(times) - idle - guests, sum(map(_seconds_of, _our_pids())))

    def share_of_others(self, before: ProcessorTime) -> float:
        """Return the share 0..1 of all cores' time that other processes took since then; 0 where that is too short."""
        seconds = self.clock - before.clock
        if seconds < MIN_SECONDS:
            return 0.0
        others = (self.busy - before.busy) - (self.ours - before.ours)
        return max(0.0, others) / (seconds * (psutil.cpu_count() or 1))


def is_noisy(system: dict[str, float]) -> bool:
    """Tell from the means of an epoch whether other processes took so much that its times say little."""
    return system["other_processes_cpu_percentage"] > 100 * NOISY_FRACTION


def gpu_sample(device: torch.device) -> dict[str, float]:
    """Return a CUDA device's memory in use and, where NVIDIA's library is installed, its utilization."""
    if device.type != "cuda":
        return {}
    index = device.index or 0
    free, total = torch.cuda.mem_get_info(device)
    sample = {
        f"gpu_{index}_memory_usage_megabytes": (total - free) / _MEGABYTE,
        f"gpu_{index}_memory_usage_percentage": 100 * (total - free) / total,
    }
    try:
        sample[f"gpu_{index}_utilization_percentage"] = float(torch.cuda.utilization(device))
    except (ModuleNotFoundError, RuntimeError):
        return sample
    return sample


def _frequency() -> dict[str, float]:
    """Return the mean clock of the cores, where the system tells: a processor that is too hot slows down."""
    try:
        megahertz = psutil.cpu_freq().current
    except (OSError, NotImplementedError, AttributeError):  # None where the system does not tell
        return {}
    return {"cpu_frequency_megahertz": megahertz} if megahertz else {}


def _our_pids() -> tuple[int, ...]:
    return (os.getpid(), os.getppid())


def _seconds_of(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system
