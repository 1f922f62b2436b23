"""Scales the images itself, and counts labels from 1."""

from pathlib import Path

import torch

import benchbench as bb


class Images(bb.Dataset, name="images"):
    image_size: int = bb.param(8, "pixels")

    def load(self, root: Path) -> bb.Splits:
        split = bb.Split(torch.zeros(4, 1, 8, 8), torch.arange(4) % 2 + 1)
        return bb.Splits(split, split, split, ("even", "odd"))


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    return [Images]
