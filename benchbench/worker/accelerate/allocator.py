"""Memory on Linux: large blocks that are used again, and a high-water mark for each trial."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

import psutil
import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""From glibc's malloc.h."""

_RESET_PEAK = "5"
"""What makes the kernel forget VmHWM: Linux, Documentation/filesystems/proc.rst, clear_refs."""

_OUT_OF_MEMORY = (
    "out of memory",
    *("not enough memory", "can't allocate memory", "bad_alloc"),  # the CPU's allocators, on several systems
    *("alloc_failed", "allocation_failed"),  # cuBLAS, and cuDNN from version 9 on
    "invalid buffer size",  # MPS, of a single tensor
)
"""Words by which a plain RuntimeError tells that memory ran out."""


def keep_freed_memory() -> None:
    """Tell glibc to reuse large blocks instead of returning them to the system after every step.

    AlexNet frees 230 MB of gradients per step, and the first touch of each new page is a fault. Must be called
    before torch allocates anything large; does nothing with another C library.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Give memory that is not in use any more back to the system, so that a peak that follows is its own."""
    gc.collect()  # a network that refers to itself, as by a hook that is its own method, goes only then
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def reset_peak(device: torch.device) -> None:
    """Reset the high-water mark of memory, so that :func:`peak_bytes` counts from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform.startswith("linux"):
        try:
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        except OSError:  # some containers forbid it: the peak is then that of the process
            return


def peak_bytes(device: torch.device) -> int:
    """Return the most memory in use since :func:`reset_peak`: CUDA's by torch, or this process's.

    If the system keeps no high-water mark that can be reset, it is the most since the process began. Torch keeps none
    for MPS, so that it is what is held there now.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    if not sys.platform.startswith("linux"):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS: getrusage(2)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    marks = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0][1]) * 1024 if marks else int(psutil.Process().memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on a device or here."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _glibc(name: str) -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
