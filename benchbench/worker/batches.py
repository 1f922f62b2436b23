"""A split as batches on a device: every step works on a whole uint8 batch, and nothing is decoded twice.

The order of images and their flips depend on seed and epoch alone: they are drawn on the CPU, whatever the
device, so that a trial resumed in the middle sees what it would have seen.
"""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from benchbench.worker.splits import Split


EVAL_BATCH_SIZE = 64
"""Large enough for an AlexNet to be two to three times faster an image than at batch 12, small enough for memory."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image on its way into the network.

    Pixels become ``(pixel / 255 - mean) / std``; ``mean`` and ``std`` have one value a channel or one for all.
    """

    image_size: int
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Span:
    """Rows or columns ``start <= i < stop``."""

    start: int
    stop: int

    @property
    def indices(self) -> slice:
        """Return what takes them from a tensor."""
        return slice(self.start, self.stop)

    def mirrored(self, size: int) -> Span:
        """Return the span in ``size`` rows or columns that are counted from the other end."""
        return Span(size - self.stop, size - self.start)

    def joined(self, other: Span) -> Span:
        """Return the shortest span that has both in it."""
        return Span(min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True)
class Window:
    """Where images may differ; outside of these rows and columns they are alike, those of a dataset in one colour."""

    rows: Span
    columns: Span

    @property
    def has_border(self) -> bool:
        """Whether the first pixel of an image is outside: its colour is then that of the border."""
        return self.rows.start > 0 and self.columns.start > 0

    def joined(self, other: Window) -> Window:
        """Return the smallest window that has both in it."""
        return Window(self.rows.joined(other.rows), self.columns.joined(other.columns))


class Batches:
    """One split on a device, as float32 batches ``[n, C, S, S]`` with int64 labels ``[n]``.

    The last batch holds what is left, so that every image is seen. ``after_reading`` is called when the images
    of a batch have been read.
    """

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
        after_reading: Callable[[], None] = lambda: None,
    ) -> None:
        self.batch_size = batch_size
        self.eval_batch_size = EVAL_BATCH_SIZE
        self.device = device
        self._memory_format = memory_format
        self._after_reading = after_reading
        self._images = split.images.to(device)
        self._labels = split.labels.to(device)
        self._preprocessing = preprocessing
        self._mean = _per_channel(preprocessing.mean, device)
        self._std = _per_channel(preprocessing.std, device)

    def in_format(self, memory_format: torch.memory_format) -> Batches:
        """Return batches of the same images in another order in memory."""
        other = copy.copy(self)
        other._memory_format = memory_format  # noqa: SLF001 - a copy of this
        return other

    def __len__(self) -> int:
        return math.ceil(self.num_images / self.batch_size)

    @property
    def num_images(self) -> int:
        """Return the number of images in the split."""
        return len(self._labels)

    @property
    def window(self) -> Window:
        """Return where images may differ, flipped or not: all that is around them is black."""
        size = self._preprocessing.image_size
        height, width = (min(length, size) for length in self._images.shape[2:])
        top, left = (size - height) // 2, (size - width) // 2
        columns = Span(left, left + width)
        return Window(Span(top, top + height), columns.joined(columns.mirrored(size)))

    def shuffled(self, *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in an order and with flips drawn for this seed and epoch."""
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        order = torch.randperm(self.num_images, generator=generator)
        flips = torch.rand(self.num_images, generator=generator) < self._preprocessing.flip
        order, flips = order.to(self.device), flips.to(self.device)
        for start in range(0, self.num_images, self.batch_size):
            chosen = slice(start, start + self.batch_size)
            index = order[chosen]
            images = self._square(self._images[index])
            self._after_reading()
            yield self._normalise(flip(images, flips[chosen])), self._labels[index]

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, as stored and never flipped, in batches of ``eval_batch_size``."""
        for start in range(0, self.num_images, self.eval_batch_size):
            chosen = slice(start, start + self.eval_batch_size)
            images = self._normalise(self._square(self._images[chosen]))
            self._after_reading()
            yield images, self._labels[chosen]

    def _square(self, images: Tensor) -> Tensor:
        return pad_or_crop(images, self._preprocessing.image_size)

    def _normalise(self, images: Tensor) -> Tensor:
        # The order of operations is that of torchvision's ToTensor and Normalize, so that every bit is theirs.
        pixels = images.to(torch.float32, memory_format=self._memory_format)
        return pixels.div_(255).sub_(self._mean).div_(self._std)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed for one epoch of a trial, unrelated to those of other seeds and epochs."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def pad_or_crop(images: Tensor, size: int) -> Tensor:
    """Return ``[N, C, size, size]``: the middle of each image, with black (0) around it where it is smaller.

    Splits odd differences as torchvision's CenterCrop does.
    """
    height, width = images.shape[-2:]
    if height < size or width < size:
        left, top = max(size - width, 0) // 2, max(size - height, 0) // 2
        right, bottom = max(size - width, 0) - left, max(size - height, 0) - top
        images = F.pad(images, (left, right, top, bottom))
        height, width = images.shape[-2:]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return images[..., top : top + size, left : left + size]


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Return the batch with the chosen images (bool ``[N]``) mirrored left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
