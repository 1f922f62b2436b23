"""Left-right flips."""

from __future__ import annotations

from benchbench_plugins.image_operations import mirrored
from torch import Tensor

import benchbench as bb


class Flip(bb.Augmentation, name="flip"):
    """Flips images horizontally."""

    p: float = bb.param(0.5, "probability that an image is flipped", ge=0, le=1)

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type."""

        def flip(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            return mirrored(images, draws[:, 0] < self.p), labels

        return flip


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer flips."""
    return [Flip]
