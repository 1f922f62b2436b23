"""The device and what makes a step fast on it, without changing what is computed.

Everything here follows from device, precision and versions alone, never from a timing, so that the same spec
computes the same numbers every time; what was done stands in the record.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchbench.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.spec import Precision


@dataclass(frozen=True)
class Acceleration:
    """How the steps of one trial are computed."""

    device: torch.device
    precision: Precision

    def apply(self) -> None:
        """Set torch's process-wide switches for this trial; all of them, so that none is left from the one before."""
        tf32 = self.precision == "tf32"
        torch.set_num_threads(_NUM_THREADS)
        torch.set_grad_enabled(True)
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.set_default_dtype(torch.float32)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that forward passes run in."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def synchronize(self) -> Callable[[], None]:
        """Return what waits until the device has done all that it was given."""
        if self.device.type == "cuda":
            return lambda: torch.cuda.synchronize(self.device)
        if self.device.type == "mps":
            return torch.mps.synchronize
        return lambda: None

    def facts(self) -> dict[str, str]:
        """Return what was done, for the record."""
        return {"precision": self.precision, "device": str(self.device)}


def choose_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` takes the fastest.

    Raises :class:`DeviceError` where this machine has no such device.
    """
    if name == "auto":
        return torch.device(available_devices()[-1])
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device is called {name!r}", hint=_known_devices()) from None
    if device.type not in available_devices():
        raise DeviceError(f"this machine has no device {name!r} that torch can use", hint=_known_devices())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"no {name}: {torch.cuda.device_count()} CUDA device(s) here, counted from cuda:0")
    return device


def available_devices() -> list[str]:
    """Return the device types that torch can use here, slowest first."""
    devices = ["cpu"]
    if torch.backends.mps.is_available():
        devices.append("mps")
    if torch.cuda.is_available():
        devices.append("cuda")
    return devices


def accelerate(device: torch.device, precision: Precision) -> Acceleration:
    """Return how to compute on this device, or raise :class:`DeviceError` for a precision that it cannot do."""
    possible = possible_precisions(device)
    if precision not in possible:
        raise DeviceError(f"precision {precision} is not possible on {device}", hint=f"it can do {', '.join(possible)}")
    return Acceleration(device, precision)


def possible_precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions that a device can compute in."""
    if device.type != "cuda":
        return ("fp32", "bf16")
    ampere = torch.cuda.get_device_capability(device) >= (8, 0)
    return ("fp32", "tf32", "bf16") if ampere else ("fp32",)


def device_name(device: torch.device) -> str:
    """Return the product name of a GPU, or ``""`` for a CPU, which the machine's facts name already."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def keep_freed_memory() -> None:
    """Tell glibc to reuse large blocks instead of returning them to the system after every step.

    AlexNet frees 230 MB of gradients a step, and the first touch of each new page is a fault. Must be called
    before torch allocates anything large; does nothing where the C library is another.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_NUM_THREADS = torch.get_num_threads()
"""What torch chose when it was imported, before any plugin could change it."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""From glibc's malloc.h."""


def _known_devices() -> str:
    return f"torch can use: {', '.join(available_devices())}"
