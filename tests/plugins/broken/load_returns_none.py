"""Forgets to return the splits."""

from pathlib import Path

import torch

import benchbench as bb


class Images(bb.Dataset, name="images"):
    image_size: int = bb.param(8, "pixels")

    def load(self, root: Path) -> bb.Splits:
        split = bb.Split(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2)
        bb.Splits(split, split, split, ("even", "odd"))  # type: ignore[return]


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    return [Images]
