"""Train on images that are larger than the memory that a process may have, and time steps with and without reading.

Makes images of so many gigabytes in a new folder, which is deleted in the end. No process may have more memory of its
own (RLIMIT_DATA) than the limit: files that are mapped for reading do not count, since the system can drop their
pages. Before the steps, the system forgets what it keeps of the files, so that they are read from the disk.

    python tests/benchmarks/larger_than_memory.py --gigabytes 20 --limit 4
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path[:0] = [str(Path(__file__).parents[1])]

from benchmarks.ratios import Row, markdown  # noqa: E402 - after the path above

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(sysconfig.get_path("scripts")) / "bench"
GIGABYTE = 10**9
SIDE = 224
IMAGE_BYTES = 3 * SIDE * SIDE
NUM_OTHERS, NUM_FEW = 100, 500
"""Images of validation and test; training images of the variant that stays in memory."""

SECONDS_BETWEEN_SAMPLES = 0.05
GRID = """
name = "larger than memory"
model = "resnet"
batch_size = 8
optimizer = {{ name = "sgd", lr = 0.01 }}

[dataset]
name = "synthetic"
height = {side}
width = {side}
image_size = {side}
num_train = {{ grid = [{few}, {many}] }}
num_val = {others}
num_test = {others}
"""


@dataclass
class Memory:
    """The most that one process had at a time: bytes of its own, and bytes with the pages of files."""

    own: int = 0
    with_files: int = 0

    def see(self, process: psutil.Process) -> None:
        """Look at a process and at those that it started."""
        for one in (process, *process.children(recursive=True)):
            lines = Path(f"/proc/{one.pid}/status").read_text(encoding="ascii").splitlines()
            kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
            own = 1024 * kilobytes.get("RssAnon", 0)
            self.own = max(self.own, own)
            self.with_files = max(self.with_files, own + 1024 * kilobytes.get("RssFile", 0))


@contextmanager
def watched(process: psutil.Process) -> Iterator[Memory]:
    """Give what a process needs, which grows until the block ends."""
    memory, ended = Memory(), threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_SAMPLES):
            try:
                memory.see(process)
            except (OSError, psutil.Error):  # one of them has just ended
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True)
class Limited:
    """``bench`` in a folder, with so many bytes of memory for each of its processes."""

    folder: Path
    limit: int

    def __call__(self, *words: object) -> tuple[str, float, Memory]:
        """Return what it prints, the seconds that it takes, and the memory that it needs."""
        began = time.perf_counter()
        process = subprocess.Popen(
            ["prlimit", f"--data={self.limit}", PROGRAM, *map(str, words)],
            cwd=self.folder,
            env=os.environ | {"BENCH_CACHE": str(self.folder / "cache"), "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with watched(psutil.Process(process.pid)) as memory:
            output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        return output, time.perf_counter() - began, memory


def forget_files(folder: Path) -> None:
    """Have the system drop the pages of all files below a folder, which are on the disk."""
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Make the images, train some steps on many and on few of them, and print what that took."""
    many = round(options.gigabytes * GIGABYTE / IMAGE_BYTES)
    grid = folder / "grid.toml"
    grid.write_text(GRID.format(side=SIDE, few=NUM_FEW, many=many, others=NUM_OTHERS), encoding="utf-8")
    bench = Limited(folder, round(options.limit * GIGABYTE))
    sizes = {"height": SIDE, "width": SIDE, "image_size": SIDE, "num_val": NUM_OTHERS, "num_test": NUM_OTHERS}
    for number in (NUM_FEW, many):
        pairs = (sizes | {"num_train": number}).items()
        settings = [word for key, value in pairs for word in ("--set", f"dataset.{key}={value}")]
        _, seconds, memory = bench("data", "show", "synthetic", *settings, "-o", "sheet.png")
        print(f"{number:,} images of {SIDE}x{SIDE} made in {seconds:.0f} s: {_described(memory)}")
    forget_files(folder)
    numbers = ("--rounds", options.rounds, "--steps", options.steps)
    output, seconds, memory = bench("time", grid, *numbers, "--json")
    print(f"timed in {seconds:.0f} s: {_described(memory)}")
    few, larger = (_seconds_of_steps(variant, options.steps) for variant in json.loads(output)["variants"])
    row = Row("a step with images from the disk", "from memory", larger, few)
    print(markdown([row]))


def _described(memory: Memory) -> str:
    return (
        f"at most {memory.own / GIGABYTE:.2f} GB of memory of its own,"
        f" {memory.with_files / GIGABYTE:.2f} GB with the pages of files"
    )


def _seconds_of_steps(variant: dict[str, Any], steps: int) -> list[float]:
    """Return the seconds of a step in each round, and print how the variant reads its images."""
    print(f"{variant['name']}: images {variant['acceleration'].get('images', 'in memory')}")
    return [seconds / steps for seconds in variant["train_seconds"]]


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20, help="of the images (20)")
    parser.add_argument("--limit", type=float, default=4, help="gigabytes of memory that a process may have (4)")
    parser.add_argument("--rounds", type=int, default=6, help="measurements of each variant (6)")
    parser.add_argument("--steps", type=int, default=5, help="training steps of a measurement (5)")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where the images are made (here)")
    options = parser.parse_args()
    free = shutil.disk_usage(options.folder).free
    if free < 1.1 * options.gigabytes * GIGABYTE:
        parser.error(f"{options.folder} has {free / GIGABYTE:.0f} GB left")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="larger-than-memory-") as folder:
        measure(Path(folder).resolve(), options)


if __name__ == "__main__":
    main()
