"""How much memory one piece of work takes in a process that does several.

The system's high-water mark is of the whole process and outlives the work, and freed memory may stay with the
process. So free memory is given back first, and the work is counted from there. Pages of files are left out: the system
reclaims them when it needs memory.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, Self

import psutil
import torch

from benchbench.worker.accelerate import give_back_memory, peak_bytes, reset_peak

if TYPE_CHECKING:
    from types import TracebackType

SAMPLE_SECONDS = 0.01


class Footprint:
    """The bytes that blocks of work added: what each left behind, and the peak of the last above its beginning.

    Use as a context manager, once for each block. On CUDA torch's allocator counts; elsewhere the memory of the
    process is sampled in a thread.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._sampler: threading.Thread | None = None
        self._before = self._peak = self._left = 0

    @property
    def method(self) -> Literal["sampled", "counted"]:
        """How the peak is measured."""
        return "counted" if self._device.type == "cuda" else "sampled"

    @property
    def peak_bytes(self) -> int:
        """The most that was held at one time in the last block, with what the blocks before it left behind."""
        return self._peak

    def __enter__(self) -> Self:
        self._before = self._held()
        if self.method == "counted":
            reset_peak(self._device)
            return self
        self._highest = self._before
        self._ended.clear()
        self._sampler = threading.Thread(target=self._sample, name="footprint", daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sampler is not None:
            self._ended.set()
            self._sampler.join()
            self._sampler = None
        else:
            self._highest = peak_bytes(self._device)
        self._peak = self._left + self._highest - self._before
        self._left += self._held() - self._before

    def _held(self) -> int:
        """Give back what is free and return what is in use."""
        give_back_memory()
        if self.method == "counted":
            return int(torch.cuda.memory_allocated(self._device))
        return self._own_bytes()

    def _own_bytes(self) -> int:
        """Return the memory of this process without pages of files, which only Linux tells apart."""
        info = self._process.memory_info()
        return int(info.rss) - int(getattr(info, "shared", 0))

    def _sample(self) -> None:
        while True:
            self._highest = max(self._highest, self._own_bytes())
            if self._ended.wait(SAMPLE_SECONDS):
                return
