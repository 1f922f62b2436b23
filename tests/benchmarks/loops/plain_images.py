"""What reading the images takes with ImageFolder and DataLoader: all once, what precedes a batch, and a pass."""

from __future__ import annotations

import json
import time

from plain import make_loaders
from torchvision.datasets import ImageFolder
from work import read_work

if __name__ == "__main__":
    work = read_work()
    began = time.perf_counter()
    for split in ("train", "val", "test"):
        for _ in ImageFolder(work.folder / split):
            pass
    decoded = time.perf_counter()
    train, _ = make_loaders(work)
    loaded = time.perf_counter()
    for _ in train:
        pass
    passed = time.perf_counter()
    seconds = {"decode": decoded - began, "load": loaded - decoded, "seconds": passed - loaded}
    print(json.dumps(seconds))
