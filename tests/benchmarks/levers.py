"""How many milliseconds of a training step each lever of benchbench.worker.accelerate gains on this machine.

Prints a table in Markdown. A lever is measured with and without it, next to all others that do not depend on it, in
interleaved rounds in one process. Close other programs first.

    python tests/benchmarks/levers.py --archive tinyimage10.zip
"""

from __future__ import annotations

import argparse
import ctypes
import inspect
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

sys.path[:0] = [str(Path(__file__).parent / "loops"), str(Path(__file__).parents[1])]

from benchmarks.page import facts
from benchmarks.ratios import Row
from ours import prepared
from work import Work

from benchbench.protocol.shared_counter import SharedCounter
from benchbench.worker.accelerate import (
    allocator,
    keep_freed_memory,
    lazy_gradient,
    linear_products,
    possible_precisions,
)
from benchbench.worker.accelerate.devices import instruction_set
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.train import train_epoch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from benchbench.worker.accelerate.lever import Lever
    from benchbench.worker.setup import ReadyTrial

    Levers = tuple[Lever, ...]

CASES = {
    "AlexNet, batch 12, fp32": ("alexnet", 150, 12, "fp32"),
    "AlexNet, batch 12, bf16": ("alexnet", 150, 12, "bf16"),
    "AlexNet, batch 32, fp32": ("alexnet", 150, 32, "fp32"),
    "resnet18, batch 32, 64x64, fp32": ("resnet18", 64, 32, "fp32"),
    "resnet18, batch 32, 64x64, bf16": ("resnet18", 64, 32, "bf16"),
}
HELPERS: dict[type, tuple[ModuleType, ...]] = {
    LinearProducts: (linear_products,),
    StepsInPlace: (lazy_gradient,),
}
"""Modules that nothing but one lever needs, besides its own."""

UNTIMED_STEPS, TIMED_STEPS = 1, 3
MIN_ROUNDS, MAX_ROUNDS = 3, 30
COLUMNS = ("case", "files", "lines", "lever", "with, ms", "without, ms", "gained, ms", "ratio [95 %]", "n", "%")
MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""From glibc's malloc.h."""


@dataclass
class Side:
    """One way to take steps, and the milliseconds of a step in each round."""

    trial: ReadyTrial
    is_memory_kept: bool = True
    milliseconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Two sides that differ by what ``name`` says, which lies in ``modules``."""

    name: str
    modules: tuple[ModuleType, ...]
    with_it: Side
    without_it: Side

    def cells(self, case: str) -> tuple[str, ...]:
        ours, theirs = self.with_it.milliseconds, self.without_it.milliseconds
        ratio = Row(self.name, "", ours, theirs).ratio
        low_high = f" [{ratio.interval.low:.3f}, {ratio.interval.high:.3f}]" if ratio.interval else ""
        return (
            case,
            ", ".join(f"{module.__name__.rpartition('.')[2]}.py" for module in self.modules),
            str(sum(len(inspect.getsource(module).splitlines()) for module in self.modules) or ""),
            self.name,
            f"{median(ours):.1f}",
            f"{median(theirs):.1f}",
            f"{median(theirs) - median(ours):+.1f}",
            f"{ratio.estimate:.3f}{low_high}",
            str(len(ours)),
            f"{100 * (1 - 1 / ratio.estimate):+.1f}",
        )


class Sides:
    """The sides of a case; those with the same levers are one."""

    def __init__(self, work: Work, folder: Path) -> None:
        self._work, self._folder = work, folder
        self._made: dict[Levers, Side] = {}

    @property
    def made(self) -> list[Side]:
        return list(self._made.values())

    def of(self, levers: Levers) -> Side:
        if levers not in self._made:
            adapt = lambda acceleration: acceleration.without({}, levers)  # noqa: E731 - one expression
            self._made[levers] = Side(prepared(self._work, self._folder, adapt=adapt))
        return self._made[levers]


def comparisons(work: Work, folder: Path) -> tuple[list[Comparison], list[Side]]:
    """Return what is compared in a case, and all sides of it."""
    everything = Side(prepared(work, folder))
    levers = everything.trial.learner.acceleration.levers
    sides = Sides(work, folder)
    sides._made[levers] = everything
    plain_memory = Side(everything.trial, is_memory_kept=False)
    compared = [Comparison("all levers", (), everything, sides.of(()))]
    for lever in levers:
        others = tuple(other for other in levers if not depends(other, lever))
        without = tuple(other for other in others if other is not lever)
        modules = (inspect.getmodule(type(lever)), *HELPERS.get(type(lever), ()))
        compared.append(Comparison(str(lever), modules, sides.of(others), sides.of(without)))
    if sys.platform.startswith("linux"):
        compared.append(Comparison("freed memory is kept", (allocator,), everything, plain_memory))
        return compared, [*sides.made, plain_memory]
    return compared, sides.made


def depends(other: Lever, lever: Lever) -> bool:
    """Tell whether another lever needs this one, or does the same and more."""
    return other is not lever and (other.needs == lever.fact or (other.fact == lever.fact and bool(other.needs)))


def measure(side: Side, number: int, counter: SharedCounter) -> None:
    """Take some steps, and note how long one of them took."""
    trial = side.trial
    batches = trial.train.shuffled(seed=0, epoch=number)
    trial.learner.acceleration.apply()
    with memory_kept() if side.is_memory_kept else memory_returned():
        train_epoch(trial.learner, islice(batches, UNTIMED_STEPS), counter=counter)
        began = time.perf_counter()
        train_epoch(trial.learner, islice(batches, TIMED_STEPS), counter=counter)
        side.milliseconds.append(1000 * (time.perf_counter() - began) / TIMED_STEPS)


@contextmanager
def memory_kept() -> Iterator[None]:
    yield


@contextmanager
def memory_returned() -> Iterator[None]:
    """Have glibc treat large blocks as it does unless told otherwise."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(MMAP_MAX, 65536)
    mallopt(TRIM_THRESHOLD, 2**17)
    try:
        yield
    finally:
        keep_freed_memory()


def run_rounds(sides: list[Side], counter: SharedCounter, *, ends_at: float) -> None:
    """Measure all sides in turn, in an order that is reversed from round to round, until the time is up."""
    for side in sides:
        measure(side, 0, counter)
        side.milliseconds.clear()
    for number in range(1, MAX_ROUNDS + 1):
        if number > MIN_ROUNDS and time.monotonic() > ends_at:
            return
        for side in sides if number % 2 else reversed(sides):
            measure(side, number, counter)


def rows(work: Work, case: str, *, ends_at: float) -> list[tuple[str, ...]]:
    """Return the rows of one case."""
    with tempfile.TemporaryDirectory() as temporary:
        compared, sides = comparisons(work, Path(temporary))
        run_rounds(sides, SharedCounter(Path(temporary) / "counter"), ends_at=ends_at)
    return [comparison.cells(case) for comparison in compared]


def line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True, help="tinyimage10.zip")
    parser.add_argument("--minutes", type=float, default=11, help="for all cases together")
    parser.add_argument("--case", choices=CASES, action="append", help="one of the cases; may be given several times")
    options = parser.parse_args()
    keep_freed_memory()
    possible = possible_precisions(torch.device("cpu"))
    names = [name for name in options.case or CASES if CASES[name][-1] in possible]
    began = time.monotonic()
    print(line(COLUMNS), line(("---",) * len(COLUMNS)), sep="\n", flush=True)
    for number, name in enumerate(names, start=1):
        model, image_size, batch_size, precision = CASES[name]
        work = Work(Path(), options.archive, model, image_size, batch_size, "sgd", precision, None)
        ends_at = began + 60 * options.minutes * number / len(names)
        print(*map(line, rows(work, name, ends_at=ends_at)), sep="\n", flush=True)
    print(f"\n{instruction_set()}, {facts(Path(__file__).parents[2])}")


if __name__ == "__main__":
    main()
