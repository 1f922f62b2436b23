"""What the machine was doing while a trial ran, sampled beside it in the process that does the work."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Self

import psutil
import torch

if TYPE_CHECKING:
    from types import TracebackType

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
        if not taken:
            return self._sample()
        return {key: sum(values) / len(values) for key, values in taken.items()}

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
        return sample | gpu_sample(self._device)


class OtherLoad:
    """What other processes take of the processor, from the moment this is made."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._began = self._now()

    def share(self) -> float:
        """Return their share, 0..1, of the time of all cores. The system counts in hundredths of a second."""
        passed, busy, ours = (now - before for now, before in zip(self._now(), self._began, strict=True))
        return min(1.0, max(0.0, (busy - ours) / (passed * (psutil.cpu_count() or 1)))) if passed > 0 else 0.0

    def _now(self) -> tuple[float, float, float]:
        times, ours = psutil.cpu_times(), self._process.cpu_times()
        # A guest's time is part of the user's; not all systems have all of these.
        idle = sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
        return time.perf_counter(), sum(times) - idle, ours.user + ours.system


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
