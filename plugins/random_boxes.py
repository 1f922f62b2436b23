"""Boxes of a random area and shape, for a crop or for what is erased: drawn as torchvision draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import benchbench as bb

ATTEMPTS = 10
"""How many times a box's size is drawn; the first one that fits is used."""

NUM_DRAWS = 2 * ATTEMPTS + 2
"""Random numbers of a box: areas and shapes, then where the box is."""


@dataclass(frozen=True)
class Boxes:
    """Rows and columns of a box for each image, ``[N]`` each; ``fits`` is false if no size that was drawn fits."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    fits: Tensor

    def inside(self, height: int, width: int) -> Tensor:
        """Return bool ``[N, 1, H, W]``: which pixels are in the box."""
        rows, columns = (torch.arange(size, device=self.top.device) for size in (height, width))
        in_rows = (rows >= self.top[:, None]) & (rows < (self.top + self.height)[:, None])
        in_columns = (columns >= self.left[:, None]) & (columns < (self.left + self.width)[:, None])
        return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def check_ranges(name: str, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    """Raise :class:`benchbench.SpecError` if these are no ranges of areas and shapes."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise bb.SpecError(f"{name}: scale must rise and lie between 0 and 1, not {list(scale)}", hint="[0.08, 1.0]")
    if not 0 < ratio[0] <= ratio[1]:
        raise bb.SpecError(f"{name}: ratio must rise and be above 0, not {list(ratio)}", hint="[0.75, 1.33]")


def draw_boxes(
    draws: Tensor, size: tuple[int, int], *, scale: tuple[float, float], ratio: tuple[float, float], may_fill: bool
) -> Boxes:
    """Return boxes in images of ``size``, from ``NUM_DRAWS`` random numbers of each.

    ``scale`` limits a box's part of the image, ``ratio`` its width by its height. Without ``may_fill`` a box is lower
    and narrower than the image.
    """
    image_height, image_width = size
    areas = image_height * image_width * _between(draws[:, :ATTEMPTS], *scale)
    ratios = _between(draws[:, ATTEMPTS : 2 * ATTEMPTS], *map(math.log, ratio)).exp()
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()
    least = 0 if may_fill else 1
    fitting = (heights <= image_height - least) & (widths <= image_width - least) & (heights > 0) & (widths > 0)
    first = fitting.int().argmax(dim=1, keepdim=True)
    height, width = (sizes.gather(1, first).squeeze(1) for sizes in (heights, widths))
    top = (draws[:, -2] * (image_height - height + 1)).floor()
    left = (draws[:, -1] * (image_width - width + 1)).floor()
    return Boxes(top, left, height, width, fitting.any(dim=1))


def _between(draws: Tensor, low: float, high: float) -> Tensor:
    return low + draws * (high - low)
