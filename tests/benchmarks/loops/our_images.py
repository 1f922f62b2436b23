"""What reading the images takes with benchbench: decoding all once into an empty cache, loading them, and a pass."""

from __future__ import annotations

import json
import os
import tempfile
import time

import torch
from work import Work, read_work

from benchbench.config.spec import Draft, PluginDraft
from benchbench.data import cache as data_cache
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.registry import Registry
from benchbench.worker.accelerate import keep_freed_memory
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing
from benchbench.worker.splits import TensorSplits

ORIGINS = ("tinyimage10", "flip", "alexnet", "cross_entropy", "sgd", "constant")


def measure(work: Work) -> dict[str, float]:
    """Return the seconds of each part."""
    registry = Registry.load(only={f"benchbench:{name}" for name in ORIGINS})
    asked = PluginDraft(name="tinyimage10", params={"image_size": work.image_size})
    spec = registry.resolve(Draft(dataset=asked, model=PluginDraft(name="alexnet")))
    dataset = registry.create("dataset", spec.dataset)
    began = time.perf_counter()
    data_cache.load(dataset, work.archive)
    decoded = time.perf_counter()
    train = TensorSplits.of(data_cache.load(dataset, work.archive)).train
    preprocessing = Preprocessing(dataset.image_size, dataset.mean, dataset.std)
    data = ImageSpec(*train.images.shape[1:], num_classes=10, mean=dataset.mean)
    augmenter = Augmenter.of(registry.create_augmentations(spec.augmentation), data)
    batches = Batches(train, preprocessing, batch_size=work.batch_size, device=torch.device("cpu"), augmenter=augmenter)
    loaded = time.perf_counter()
    for _ in batches.shuffled(seed=0, epoch=1):
        pass
    passed = time.perf_counter()
    return {"decode": decoded - began, "load": loaded - decoded, "seconds": passed - loaded}


if __name__ == "__main__":
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BENCH_CACHE"] = cache
        print(json.dumps(measure(read_work())))
