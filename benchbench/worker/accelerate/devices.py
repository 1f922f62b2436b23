"""Devices, and the precisions that each can compute in."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from benchbench.errors import DeviceError, counted

NVIDIA_VERSION = Path("/proc/driver/nvidia/version")


def choose_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` takes the fastest.

    Raises :class:`DeviceError` if this machine has no such device.
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
        raise DeviceError(f"no {name}: {counted(torch.cuda.device_count(), 'CUDA device')} here, counted from cuda:0")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # what names no device, in torch and in plugins, means this one
    return device


def available_devices() -> list[str]:
    """Return the device types that torch can use here, slowest first."""
    devices = ["cpu"]
    if torch.backends.mps.is_available():
        devices.append("mps")
    if torch.cuda.is_available():
        devices.append("cuda")
    return devices


def possible_precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions that a device has arithmetic for.

    torch also computes bf16 on processors that do not have it, by conversion: 25 times slower than fp32 on one with
    AVX2 (AlexNet, batch 12), which nobody can want.
    """
    if device.type == "cuda":
        ampere = torch.cuda.get_device_capability(device) >= (8, 0)
        return ("fp32", "tf32", "bf16") if ampere else ("fp32",)
    if device.type == "cpu" and not has_bf16_convolutions():
        return ("fp32",)
    if device.type == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0):
        return ("fp32",)  # torch would only warn, and compute in fp32
    return ("fp32", "bf16")


def instruction_set() -> str:
    """Return the vector instructions of the CPU as torch calls them, or ``AMX`` if it multiplies matrices as well."""
    name = torch.backends.cpu.get_cpu_capability()
    has_amx = name == "AVX512" and torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - nothing public tells
    return "AMX" if has_amx else name


def has_bf16_convolutions() -> bool:
    """Tell whether oneDNN, which computes convolutions on processors, has bf16 kernels for this one.

    It says so of all processors with AVX-512, and converts on those without AVX512_BF16.
    """
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    if ask is None or not ask():
        return False
    return torch.cpu._is_avx512_bf16_supported() or not torch.cpu._is_avx512_supported()  # noqa: SLF001 - nothing public tells


def device_name(device: torch.device) -> str:
    """Return the product name of a GPU, or ``""`` for a CPU, which the machine's facts name already."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def device_versions(device: torch.device) -> dict[str, str]:
    """Return the versions of a GPU's driver and libraries; none of a CPU."""
    if device.type != "cuda":
        return {}
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions = {"cuda": torch.version.cuda or "", "cudnn": str(cudnn or "")}
    versions["nvidia driver"] = driver_version(NVIDIA_VERSION)
    return {name: version for name, version in versions.items() if version}


def driver_version(path: Path) -> str:
    """Return the version of NVIDIA's driver, which Linux tells in a file, or ``""``."""
    try:
        first_line, _, _ = path.read_text(encoding="utf-8").partition("\n")
    except OSError:
        return ""
    numbers = re.search(r"\b\d+(\.\d+)+\b", first_line)
    return numbers.group() if numbers else ""


def _known_devices() -> str:
    return f"torch can use: {', '.join(available_devices())}"
