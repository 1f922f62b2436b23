"""The three products of large linear layers: torch's own, and those of benchbench.worker.accelerate.linear_products."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from benchbench.worker.accelerate import keep_freed_memory
from benchbench.worker.accelerate.linear_products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHAPES = ((4096, 9216), (4096, 4096), (2048, 2048), (1024, 4096))
BATCH_SIZES = (4, 12, 32, 64, 128)
ROUNDS = 9


def milliseconds(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median of each way over interleaved rounds, after one untimed round."""
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            samples[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(taken[1:]) for name, taken in samples.items()}


def measure(rows: int, columns: int, batch_size: int) -> None:
    """Print a line for each product of a layer of ``columns`` inputs and ``rows`` outputs."""
    x, weight = torch.randn(batch_size, columns), torch.randn(rows, columns)
    gradient = torch.randn(batch_size, rows)
    plain = {
        "forward": lambda: F.linear(x, weight),
        "input gradient": lambda: gradient @ weight,
        "weight gradient": lambda: gradient.t() @ x,
    }
    for product, usual in plain.items():
        ways: dict[str, Callable[[], object]] = {"torch": usual}
        for name, ours in PRODUCTS.items():
            ways[name] = {
                "forward": lambda ours=ours: ours.forward(x, weight),
                "input gradient": lambda ours=ours: ours.input_gradient(gradient, weight),
                "weight gradient": lambda ours=ours: ours.weight_gradient(gradient, x),
            }[product]
        found = "  ".join(f"{name} {taken:6.1f}" for name, taken in milliseconds(ways).items())
        print(f"{rows:5} x {columns:5}  batch {batch_size:4}  {product:15}  {found}  ms")


if __name__ == "__main__":
    keep_freed_memory()
    print(f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for layer in SHAPES:
        for size in BATCH_SIZES:
            measure(*layer, size)
