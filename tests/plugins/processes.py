"""A dataset whose images are made in processes of its own, in one of the ways in which people do that."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch.utils import data

import benchbench as bb

NUM_IMAGES = 40


class Images(data.Dataset):
    """What a DataLoader reads."""

    def __len__(self) -> int:
        return NUM_IMAGES

    def __getitem__(self, number: int) -> torch.Tensor:
        return image(number)


def image(number: int) -> torch.Tensor:
    return torch.full((1, 8, 8), number, dtype=torch.uint8)


def sleep(path: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(600)


class Processes(bb.Dataset, name="processes"):
    """Forty images of two classes."""

    image_size: int = bb.param(8, "pixels")
    way: str = bb.param("fork", "fork, spawn, pool, loader, or hang, which notes its processes in the file at the root")

    def load(self, root: Path) -> bb.Splits:
        split = bb.Split(torch.stack(self.images(root)), torch.arange(NUM_IMAGES) % 2)
        return bb.Splits(train=split, val=split, test=split, class_names=("even", "odd"))

    def images(self, root: Path) -> list[torch.Tensor]:
        if self.way == "loader":
            return [one for batch in data.DataLoader(Images(), batch_size=8, num_workers=2) for one in batch]
        if self.way == "pool":
            with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
                return list(executor.map(image, range(NUM_IMAGES)))
        if self.way == "hang":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(sleep, [str(root), str(root)], chunksize=1)
        with multiprocessing.get_context(self.way).Pool(2) as pool:
            return pool.map(image, range(NUM_IMAGES))


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    return [Processes]
