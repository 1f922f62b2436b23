"""The augmentation of CIFAR: shifted crops and flips."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

import benchbench as bb


class CropFlip(bb.Augmentation, name="crop_flip"):
    """Shifts images by up to ``padding`` pixels in both directions, and flips some of them horizontally.

    The usual augmentation for CIFAR-10: pad the image, crop it to its original size, and flip it.
    """

    padding: int = bb.param(4, "pixels of the margin around an image, from which it is cropped", ge=0, le=1024)
    mode: Literal["reflect", "black"] = bb.param("reflect", "what is in the margin: the image mirrored, or black")
    p: float = bb.param(0.5, "probability that an image is flipped", ge=0, le=1)

    @property
    def num_draws(self) -> int:
        """Return 3: for rows, columns and flip."""
        return 3

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type."""
        if self.mode == "reflect" and self.padding >= min(data.height, data.width):
            raise bb.SpecError(
                f"crop_flip: a mirrored margin of {self.padding} is too wide for images of {data.height}x{data.width}",
                hint=f"--set augmentation.padding={min(data.height, data.width) - 1} at most, or mode=black",
            )
        num_shifts = 2 * self.padding + 1

        def crop_flip(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            shifts = (draws[:, :2] * num_shifts).long() - self.padding
            rows = torch.arange(data.height, device=images.device) + shifts[:, :1]
            columns = torch.arange(data.width, device=images.device) + shifts[:, 1:]
            columns = torch.where(draws[:, 2:] < self.p, columns.flip(1), columns)
            cropped = taken(images, reflected(rows, data.height), reflected(columns, data.width))
            if self.mode == "black":
                is_outside = is_margin(rows, data.height)[:, :, None] | is_margin(columns, data.width)[:, None, :]
                cropped = cropped.masked_fill(is_outside[:, None], 0)
            return cropped, labels

        return crop_flip


def taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the pixels at ``rows [N, H]`` and ``columns [N, W]`` of each image."""
    number, channels = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return images[number[:, None, None, None], channels[:, None, None], rows[:, None, :, None], columns[:, None, None]]


def is_margin(indices: Tensor, size: int) -> Tensor:
    """Tell which indices are outside of the image."""
    return (indices < 0) | (indices >= size)


def reflected(indices: Tensor, size: int) -> Tensor:
    """Return indices within ``size``: those outside are mirrored at the first and the last, which are not repeated."""
    last = size - 1
    return (last - (last - indices.abs()).abs()).clamp(0, last)


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer shifted crops."""
    return [CropFlip]
