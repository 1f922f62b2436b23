"""TrivialAugment."""

from __future__ import annotations

import functools

import torch
from benchbench_plugins import policies
from benchbench_plugins.image_operations import as_type
from torch import Tensor

import benchbench as bb

STRENGTHS = policies.Strengths(shear=0.99, translate_x=32, translate_y=32, degrees=135, color=0.99, bits=6)


class TrivialAugment(bb.Augmentation, name="trivial_augment", revision=2):
    """One of 14 operations on each image, of any strength.

    S. Müller and F. Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021; its wide
    version. Operations move, turn and shear images and change their colors.
    """

    num_bins: int = bb.param(31, "number of strength levels", ge=2, le=1000)

    @property
    def num_draws(self) -> int:
        """Return 3: for the operation, its strength and its direction."""
        return 3

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images are uint8 after it."""
        table_on = functools.cache(STRENGTHS.table(self.num_bins).to)

        def augment(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            chosen = policies.choose(draws[:, 0])
            strengths = table_on(draws.device)[chosen, (draws[:, 1] * self.num_bins).long()]
            strengths = strengths * policies.signs(draws[:, 2], chosen)
            return policies.apply(as_type(images, torch.uint8), chosen, strengths), labels

        return augment


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer TrivialAugment."""
    return [TrivialAugment]
