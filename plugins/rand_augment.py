"""RandAugment."""

from __future__ import annotations

import functools

import torch
from benchbench_plugins import policies
from benchbench_plugins.image_operations import as_type
from torch import Tensor

import benchbench as bb

NUM_BINS = 31
LARGEST_MOVE = 150 / 331
"""Of the side of an image: 150 pixels of the 331 of those that AutoAugment was searched on."""


class RandAugment(bb.Augmentation, name="rand_augment", revision=2):
    """A few of 14 operations on each image, all of the same strength.

    E. D. Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space", CVPR 2020.
    Operations move, turn and shear images and change their colors.
    """

    num_ops: int = bb.param(2, "operations on each image, one after the other", ge=1, le=20)
    magnitude: int = bb.param(9, "their strength", ge=0, lt=NUM_BINS)

    @property
    def num_draws(self) -> int:
        """Return 2 for each operation: which, and its direction."""
        return 2 * self.num_ops

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images are uint8 after it."""
        strongest = policies.Strengths(
            shear=0.3,
            translate_x=LARGEST_MOVE * data.width,
            translate_y=LARGEST_MOVE * data.height,
            degrees=30,
            color=0.9,
            bits=4,
        )
        table_on = functools.cache(strongest.table(NUM_BINS)[:, self.magnitude].to)

        def augment(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            images = as_type(images, torch.uint8)
            for number in range(self.num_ops):
                chosen = policies.choose(draws[:, 2 * number])
                strengths = table_on(draws.device)[chosen] * policies.signs(draws[:, 2 * number + 1], chosen)
                images = policies.apply(images, chosen, strengths)
            return images, labels

        return augment


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer RandAugment."""
    return [RandAugment]
