"""How long decoding a folder of photographs of 224x224 into files takes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchbench.config.spec import PluginSpec
from benchbench.data import cache as data_cache
from benchbench.plugin.registry import Registry
from benchbench.worker.accelerate import keep_freed_memory

if __name__ == "__main__":
    keep_freed_memory()  # as every worker does
    registry = Registry.load(only={"benchbench:imagefolder"})
    dataset = registry.create("dataset", PluginSpec("imagefolder", 1, {"image_size": 224}))
    with tempfile.TemporaryDirectory() as folder:
        began, processors_began = time.perf_counter(), sum(os.times()[:4])
        data_cache.decode(dataset, Path(sys.argv[1]), folder=Path(folder) / "images")
        seconds, processor_seconds = time.perf_counter() - began, sum(os.times()[:4]) - processors_began
        print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds}))
