"""Random changes of colors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench_plugins.image_operations import brightness, contrast, hue, saturation
from torch import Tensor

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Callable


class ColorJitter(bb.Augmentation, name="color_jitter", revision=2):
    """Changes brightness, contrast, saturation and hue, in this order.

    Factors are uniform in ``1 - x`` to ``1 + x``, and shifts of the hue in ``-x`` to ``x``.
    """

    brightness: float = bb.param(0.4, "largest change of the brightness", ge=0, le=1)
    contrast: float = bb.param(0.4, "largest change of the contrast", ge=0, le=1)
    saturation: float = bb.param(0.4, "largest change of the saturation", ge=0, le=1)
    hue: float = bb.param(0.1, "largest shift of the hue, as a fraction of a circle", ge=0, le=0.5)

    @property
    def num_draws(self) -> int:
        """Return 4: one for each change."""
        return 4

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type."""
        changes: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float, float], ...] = (
            (brightness, 1.0, self.brightness),
            (contrast, 1.0, self.contrast),
            (saturation, 1.0, self.saturation),
            (hue, 0.0, self.hue),
        )

        def jitter(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            for number, (change, center, largest) in enumerate(changes):
                if largest:
                    images = change(images, center + largest * (2 * draws[:, number] - 1))
            return images, labels

        return jitter


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer changes of colors."""
    return [ColorJitter]
