"""Convolutions, forward and backward: by torch's own library, and as benchbench.worker.accelerate has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from products import milliseconds
from torch.nn import functional as F

from benchbench.worker.accelerate import constant_border, keep_freed_memory, winograd
from benchbench.worker.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CHANNELS = (64, 128, 256, 512)
SIZES = (2, 4, 8, 16)
BATCH_SIZES = (4, 12, 32, 64)


def step(convolve: Callable[[], Tensor]) -> Callable[[], None]:
    """Return what computes a convolution and its gradients; that of the output has the output's order in memory."""
    gradient = torch.randn_like(convolve())

    def run() -> None:
        convolve().backward(gradient)  # type: ignore[no-untyped-call]

    return run


def measure_border(batch_size: int) -> None:
    """Print a line for AlexNet's first layer over 64x64 pixels in the middle of 150x150."""
    window = Window(Span(43, 107), Span(43, 107))
    images = torch.zeros(batch_size, 3, 150, 150)
    images[:, :, window.rows.indices, window.columns.indices] = torch.randn(batch_size, 3, 64, 64)
    weight = torch.randn(64, 3, 11, 11, requires_grad=True)
    ways = {
        "torch": step(lambda: F.conv2d(images, weight, stride=4, padding=2)),
        "border once": step(lambda: _apart(images, window, weight, stride=4)),
    }
    times = milliseconds(ways)
    print(f"11x11, black border      batch {batch_size:4}  {_line(times, 'border once')}")


def _apart(images: Tensor, window: Window, weight: Tensor, *, stride: int = 1) -> Tensor:
    output = constant_border.conv2d(images, window, weight, None, stride=stride, padding=2, convolve=_convolve)
    return F.conv2d(images, weight, stride=stride, padding=2) if output is None else output


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
    return F.conv2d(x, weight, bias, stride)


def measure_winograd(channels: int, size: int, batch_size: int) -> None:
    """Print a line for a convolution of 3x3 with as many channels before and after it; a star where it is taken."""
    x = torch.randn(batch_size, channels, size, size, requires_grad=True)
    weight = torch.randn(channels, channels, 3, 3, requires_grad=True)
    ways = {
        "torch": step(lambda: F.conv2d(x, weight, padding=1)),
        "winograd": step(lambda: winograd.conv2d(x, weight, None)),
    }
    mark = "*" if winograd.fits(x, weight, stride=1, padding=1) else " "
    times = milliseconds(ways)
    print(f"3x3, {channels:3} channels, {size:2}x{size:<2} {mark} batch {batch_size:4}  {_line(times, 'winograd')}")


def _line(times: dict[str, float], ours: str) -> str:
    return f"torch {times['torch']:6.1f}  {ours} {times[ours]:6.1f}  ms  ratio {times['torch'] / times[ours]:.2f}"


if __name__ == "__main__":
    keep_freed_memory()
    print(f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for count in BATCH_SIZES:
        measure_border(count)
    for width in CHANNELS:
        for extent in SIZES:
            for count in BATCH_SIZES:
                measure_winograd(width, extent, count)
