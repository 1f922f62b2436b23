"""A dataset of plain squares whose file says how many; each load leaves a line in a file beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar

import torch

import benchbench as bb


class Squares(bb.Dataset, name="squares"):
    """As many images a split as the file says."""

    load_uses: ClassVar[frozenset[str]] = frozenset()

    side: int = bb.param(4, "pixels")
    seconds: float = bb.param(0.0, "how long loading takes")

    def load(self, root: Path) -> bb.Splits:
        with root.with_suffix(".loads").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        number = int(root.read_text(encoding="utf-8"))
        train, val, test = (square(number, side=self.side, shade=shade) for shade in (10, 20, 30))
        return bb.Splits(train=train, val=val, test=test, class_names=("dark", "bright"))


def square(number: int, *, side: int, shade: int) -> bb.Split:
    images = torch.full((number, 3, side, side), shade, dtype=torch.uint8)
    return bb.Split(images, torch.arange(number) % 2, tuple(f"square_{row}" for row in range(number)))


def loads(root: Path) -> int:
    """Return how often the dataset was loaded from its files."""
    path = root.with_suffix(".loads")
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


if __name__ == "__main__":
    import sys

    from benchbench.data import cache as data_cache

    loaded = data_cache.load(Squares(seconds=1.0), Path(sys.argv[1]))
    sys.stdout.write(loaded.facts.digest + loaded.warning)
