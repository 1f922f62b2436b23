"""How long Pillow takes to decode a folder of photographs with a process for each core, if nothing is kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image


def decode(path: Path) -> int:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).size


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).rglob("*.jpg"))
    Image.init()
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        pool.map(decode, paths[:4], chunksize=1)  # so that starting the processes does not count
        began = time.perf_counter()
        for _ in pool.imap_unordered(decode, paths, chunksize=32):
            pass
        seconds = time.perf_counter() - began
        pool.close()
        pool.join()
    of_children = os.times()
    processor_seconds = of_children.children_user + of_children.children_system
    print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds}))
