"""The base class of augmentations, and the facts about images that they receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from benchbench.plugin.base import Plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True)
class ImageSpec:
    """The images that an augmentation is built for: batches are ``[N, num_channels, height, width]``.

    They are as the dataset stores them, before black is added around them. ``mean`` is the dataset's: one value per
    channel, of pixels scaled to 0..1.
    """

    num_channels: int
    height: int
    width: int
    num_classes: int
    mean: tuple[float, ...]

    @staticmethod
    def of(image_shape: Sequence[int], *, mean: tuple[float, ...], num_classes: int) -> ImageSpec:
        """Return it for images ``[C, H, W]``; ``mean`` has one value per channel or one for all."""
        num_channels, height, width = image_shape
        per_channel = mean if len(mean) == num_channels else mean * num_channels
        return ImageSpec(num_channels, height, width, num_classes, per_channel)


class Augment(Protocol):
    """What an augmentation builds: a function of a batch and of random numbers, and of nothing else."""

    def __call__(self, images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch of as many images of the same shape, and their labels.

        images: uint8, or float32 0..255 after another augmentation; either may be returned.
        labels: int64 ``[N]``, or float32 ``[N, num_classes]`` with the fraction of each class; either may be returned.
        draws: float32 ``[N, num_draws]``, uniform in 0..1 without 1, drawn anew for each image and epoch.
        """


def batch_problem(images: Tensor, labels: Tensor, data: ImageSpec, *, num_images: int) -> str:
    """Return what is wrong with a batch that an augmentation returned for so many images, or "" if nothing is."""
    shape = [num_images, data.num_channels, data.height, data.width]
    if list(images.shape) != shape or str(images.dtype) not in ("torch.uint8", "torch.float32"):
        return f"it must return images of {shape} in uint8 or float32, not {list(images.shape)} in {images.dtype}"
    soft = [num_images, data.num_classes]
    if (list(labels.shape), str(labels.dtype)) not in (([num_images], "torch.int64"), (soft, "torch.float32")):
        return (
            f"it must return labels of [{num_images}] in int64 or of {soft} in float32,"
            f" not {list(labels.shape)} in {labels.dtype}"
        )
    return ""


class Augmentation(Plugin):
    """A random change of training images.

    All randomness comes from ``draws``, which follow from the seed and the epoch alone. So a resumed trial
    sees the same images, on any device. Do not use random generators of your own.
    """

    kind: ClassVar[str] = "augmentation"

    @property
    def num_draws(self) -> int:
        """Return how many random numbers an image needs."""
        return 1

    def build(self, data: ImageSpec) -> Augment:
        """Return the function that changes batches; called once for each trial."""
        raise NotImplementedError
