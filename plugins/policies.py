"""The operations of AutoAugment's followers, one for each image: which, and how strongly.

E. D. Cubuk et al., "AutoAugment", CVPR 2019. Ranges are those of torchvision's TrivialAugmentWide and RandAugment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchbench_plugins import image_operations as operations
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda images, strengths: operations.brightness(images, 1 + strengths),
    "saturation": lambda images, strengths: operations.saturation(images, 1 + strengths),
    "contrast": lambda images, strengths: operations.contrast(images, 1 + strengths),
    "sharpness": lambda images, strengths: operations.sharpness(images, 1 + strengths),
    "posterize": operations.posterize,
    "solarize": operations.solarize,
    "autocontrast": lambda images, _: operations.autocontrast(images),
    "equalize": lambda images, _: operations.equalize(images),
}
NAMES = ("identity", *GEOMETRIC, *COLORS)
NUM_SIGNED = len(GEOMETRIC) + 4
"""The operations after ``identity`` whose strength may be negative: geometry and the first four of colors."""


@dataclass(frozen=True)
class Strengths:
    """The strongest of each kind of operation; ``bits`` are how many posterizing takes away at most."""

    shear: float
    translate_x: float
    translate_y: float
    degrees: float
    color: float
    bits: int

    def table(self, num_bins: int) -> Tensor:
        """Return float32 ``[operations, num_bins]``: the strength of each operation, from the weakest on."""
        rising = torch.linspace(0, 1, num_bins)
        strongest = (0.0, self.shear, self.shear, self.translate_x, self.translate_y, self.degrees, *[self.color] * 4)
        posterize = 8 - (rising * self.bits).round()
        solarize = operations.BRIGHTEST * (1 - rising)
        unused = torch.zeros(num_bins)
        return torch.stack([*(most * rising for most in strongest), posterize, solarize, unused, unused])


def choose(draws: Tensor) -> Tensor:
    """Return the number of an operation in ``NAMES`` for each random number."""
    return (draws * len(NAMES)).long()


def signs(draws: Tensor, chosen: Tensor) -> Tensor:
    """Return 1 or -1 for each random number; 1 for operations that know no other direction."""
    is_signed = (chosen >= 1) & (chosen <= NUM_SIGNED)
    return torch.where((draws < 0.5) & is_signed, -1.0, 1.0)  # noqa: PLR2004 - as likely as not


def apply(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Return each image of a uint8 batch after its operation."""
    result = images.clone()
    # What only few images need is not computed for all. That takes their numbers here, for which a GPU is waited for.
    order, counts = chosen.argsort(stable=True), torch.bincount(chosen, minlength=len(NAMES)).tolist()
    _, *of_operations = torch.split(order, counts)
    if len(rows := torch.cat(of_operations[: len(GEOMETRIC)])):
        result[rows] = operations.affine(images[rows], _matrices(images, chosen[rows], strengths[rows]))
    for change, rows in zip(COLORS.values(), of_operations[len(GEOMETRIC) :], strict=True):
        if len(rows):
            result[rows] = change(images[rows], strengths[rows])
    return result


def _matrices(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Return the matrices of geometric operations: shears from the top left corner, turns about the middle."""
    height, width = images.shape[-2:]
    shear_x, shear_y, move_x, move_y, turn = (
        torch.where(chosen == NAMES.index(name), strengths, 0.0) for name in GEOMETRIC
    )
    angle = turn * (math.pi / 180)
    rows = (
        torch.stack((angle.cos(), shear_x - angle.sin(), shear_x * height / 2 - move_x.trunc()), dim=1),
        torch.stack((shear_y + angle.sin(), angle.cos(), shear_y * width / 2 - move_y.trunc()), dim=1),
    )
    return torch.stack(rows, dim=1)
