"""Training images as they are."""

from __future__ import annotations

from torch import Tensor

import benchbench as bb


class NoAugmentation(bb.Augmentation, name="none"):
    """Leaves training images as they are."""

    @property
    def num_draws(self) -> int:
        """Return 0: nothing is random."""
        return 0

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return a function that changes nothing."""

        def unchanged(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001 - every augmentation's
            return images, labels

        return unchanged


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer none."""
    return [NoAugmentation]
