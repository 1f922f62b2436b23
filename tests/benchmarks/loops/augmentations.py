"""How long an augmentation takes for some batches: by benchbench, torchvision or kornia.

    python augmentations.py benchbench trivial_augment

torchvision's transforms draw once per call, so that they are called for each image. kornia's draw per image.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import torch

from benchbench.config.spec import PluginSpec
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.registry import Registry
from benchbench.worker.accelerate import keep_freed_memory
from benchbench.worker.augmentation import Augmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Apply = Callable[[Tensor], Tensor]

NUM_BATCHES, BATCH_SIZE, SIDE = 20, 32, 64
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}


def ours(name: str) -> Apply:
    """Return the shipped plugin of that name, with its defaults."""
    plugin = Registry.load(only={f"benchbench:{name}"}).create("augmentation", PluginSpec(name, 1, {}))
    augmenter = Augmenter.of([plugin], ImageSpec(3, SIDE, SIDE, num_classes=10, mean=(0.5, 0.5, 0.5)))
    labels, generator = torch.zeros(BATCH_SIZE, dtype=torch.int64), torch.Generator()
    return lambda images: augmenter(images, labels, augmenter.draw(len(images), generator))[0]


def of_torchvision(name: str) -> Apply:
    """Return the same by ``torchvision.transforms.v2``."""
    from torchvision.transforms import v2

    transforms: dict[str, list[torch.nn.Module]] = {
        "flip": [v2.RandomHorizontalFlip()],
        "crop_flip": [v2.RandomCrop(SIDE, padding=4, padding_mode="reflect"), v2.RandomHorizontalFlip()],
        "random_resized_crop": [v2.RandomResizedCrop(SIDE, antialias=False), v2.RandomHorizontalFlip()],
        "color_jitter": [v2.ColorJitter(**JITTER)],
        "random_erasing": [v2.RandomErasing(p=0.25)],
        "trivial_augment": [v2.TrivialAugmentWide()],
        "rand_augment": [v2.RandAugment()],
    }
    transform = v2.Compose(transforms[name])
    return lambda images: torch.stack([transform(image) for image in images])


def of_kornia(name: str) -> Apply:
    """Return the same by kornia, whose images are numbers of 0..1."""
    from kornia import augmentation

    size, mirror = (SIDE, SIDE), augmentation.RandomHorizontalFlip()
    transforms: dict[str, list[torch.nn.Module]] = {
        "flip": [mirror],
        "crop_flip": [augmentation.RandomCrop(size, padding=4, padding_mode="reflect"), mirror],
        "random_resized_crop": [augmentation.RandomResizedCrop(size), mirror],
        "color_jitter": [augmentation.ColorJitter(**JITTER)],
        "random_erasing": [augmentation.RandomErasing(p=0.25)],
        "trivial_augment": [augmentation.auto.TrivialAugment()],
        "rand_augment": [augmentation.auto.RandAugment(n=2, m=9)],
    }
    transform = augmentation.AugmentationSequential(*transforms[name], data_keys=["input"])
    return lambda images: (255 * transform(images / 255)).round().to(torch.uint8)


SIDES: dict[str, Callable[[str], Apply]] = {"benchbench": ours, "torchvision": of_torchvision, "kornia": of_kornia}

if __name__ == "__main__":
    keep_freed_memory()
    side, name = sys.argv[1:]
    apply = SIDES[side](name)
    batch = torch.randint(256, (BATCH_SIZE, 3, SIDE, SIDE), dtype=torch.uint8)
    apply(batch)
    began = time.perf_counter()
    for _ in range(NUM_BATCHES):
        apply(batch)
    print(json.dumps({"seconds": time.perf_counter() - began}))
