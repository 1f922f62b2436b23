"""What every training loop of the benchmarks is asked to do, and how it tells what that took."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

WARMUP_STEPS = 3
"""Steps before the clock starts: the first ones allocate, and choose their kernels."""

NUM_CLASSES = 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEARNING_RATE, MOMENTUM = 0.001, 0.9


@dataclass(frozen=True)
class Work:
    """A network to train on the images, for an epoch or for some steps of it, and to validate after.

    ``folder`` has the folders ``train`` and ``val``, a folder for each class in them; ``archive`` is the same as a zip.
    """

    folder: Path
    archive: Path
    model: str
    image_size: int
    batch_size: int
    optimizer: str
    precision: str
    steps: int | None


def read_work() -> Work:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the extracted images, with train and val in it")
    parser.add_argument("--archive", type=Path, required=True, help="the same images as a zip file")
    parser.add_argument("--model", choices=("alexnet", "resnet18"), default="alexnet")
    parser.add_argument("--image-size", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, help="training steps, instead of a whole epoch")
    return Work(**vars(parser.parse_args()))


def report(*, train_seconds: float, num_images: int, eval_seconds: float) -> None:
    """Print one line of JSON: seconds, training images a second, and the peak memory of this process in bytes."""
    measured = {
        "train_seconds": train_seconds,
        "eval_seconds": eval_seconds,
        "images_per_second": num_images / train_seconds,
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(measured))


def peak_bytes() -> int:
    """Return the most memory that this process has held at once.

    Linux keeps ``ru_maxrss`` over ``exec``, so a process that a large one starts seems large; ``VmHWM`` begins anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    kept = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept if sys.platform == "darwin" else kept * 1024
