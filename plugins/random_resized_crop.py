"""Random parts of images, enlarged."""

from __future__ import annotations

import torch
from benchbench_plugins.image_operations import mirrored, resized_boxes
from benchbench_plugins.random_boxes import NUM_DRAWS, Boxes, check_ranges, draw_boxes
from torch import Tensor

import benchbench as bb


class RandomResizedCrop(bb.Augmentation, name="random_resized_crop"):
    """Resizes a random part of an image to its full size, and flips some images horizontally.

    The usual augmentation for ImageNet: C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015. If none of ten
    random parts fits, the largest centered part with an allowed ratio is used, as in torchvision.
    """

    scale: tuple[float, float] = bb.param((0.08, 1.0), "smallest and largest fraction of the area")
    ratio: tuple[float, float] = bb.param((3 / 4, 4 / 3), "smallest and largest ratio of width to height")
    p: float = bb.param(0.5, "probability that an image is flipped", ge=0, le=1)

    @property
    def num_draws(self) -> int:
        """Return how many a box and a flip need."""
        return int(NUM_DRAWS) + 1

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type."""
        check_ranges(self.name, self.scale, self.ratio)
        size = data.height, data.width
        whole = largest_box(size, self.ratio)

        def crop(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            boxes = draw_boxes(draws[:, :NUM_DRAWS], size, scale=self.scale, ratio=self.ratio, may_fill=True)
            cropped = resized_boxes(images, *edges(boxes, whole))
            return mirrored(cropped, draws[:, -1] < self.p), labels

        return crop


def edges(boxes: Boxes, otherwise: tuple[int, int, int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return top, left, height and width of the boxes, and others for images in which no box fits."""
    drawn = (boxes.top, boxes.left, boxes.height, boxes.width)
    top, left, height, width = (
        torch.where(boxes.fits, own, float(other)) for own, other in zip(drawn, otherwise, strict=True)
    )
    return top, left, height, width


def largest_box(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the largest box in the middle that has an allowed shape."""
    height, width = size
    least, largest = ratio
    if width / height < least:
        height = round(width / least)
    elif width / height > largest:
        width = round(height * largest)
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer resized crops."""
    return [RandomResizedCrop]
