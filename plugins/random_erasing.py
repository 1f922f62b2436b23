"""Random boxes of images, erased."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from benchbench_plugins.image_operations import BRIGHTEST, as_type, per_image
from benchbench_plugins.random_boxes import NUM_DRAWS, check_ranges, draw_boxes
from torch import Tensor

import benchbench as bb


class RandomErasing(bb.Augmentation, name="random_erasing"):
    """Erases a random box of some images.

    Z. Zhong et al., "Random Erasing Data Augmentation", AAAI 2020. If none of ten random boxes
    fits into an image, the image is left unchanged.
    """

    p: float = bb.param(0.25, "probability that something is erased", ge=0, le=1)
    scale: tuple[float, float] = bb.param((0.02, 1 / 3), "smallest and largest fraction of the area")
    ratio: tuple[float, float] = bb.param((0.3, 10 / 3), "smallest and largest ratio of width to height")
    value: Literal["mean", "black"] = bb.param("mean", "fill of the box: the dataset's mean color, or black")

    @property
    def num_draws(self) -> int:
        """Return how many a box and the choice of images need."""
        return int(NUM_DRAWS) + 1

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type."""
        check_ranges(self.name, self.scale, self.ratio)
        size = data.height, data.width
        mean = torch.tensor(data.mean if self.value == "mean" else [0.0] * data.num_channels)[:, None, None]
        color_on = functools.cache((mean * BRIGHTEST).to)

        def erase(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            boxes = draw_boxes(draws[:, 1:], size, scale=self.scale, ratio=self.ratio, may_fill=False)
            chosen = per_image((draws[:, 0] < self.p) & boxes.fits) & boxes.inside(*size)
            return torch.where(chosen, as_type(color_on(images.device), images.dtype), images), labels

        return erase


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer random erasing."""
    return [RandomErasing]
