"""Reads a file that is not there."""

from pathlib import Path

import torch

import benchbench as bb


class Images(bb.Dataset, name="images"):
    image_size: int = bb.param(8, "pixels")

    def load(self, root: Path) -> bb.Splits:
        images = torch.frombuffer((root / "images.bin").read_bytes(), dtype=torch.uint8)
        split = bb.Split(images.reshape(-1, 1, 8, 8), torch.arange(len(images)) % 2)
        return bb.Splits(split, split, split, ("even", "odd"))


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    return [Images]
