"""A split as batches on a device: every step works on a whole uint8 batch, and nothing is decoded twice.

The order of images and the random numbers of their augmentation depend on seed and epoch alone: they are drawn on the
CPU, whatever the device, so that a trial resumed in the middle sees what it would have seen.

Images are cropped if they are too large, then augmented, then padded with black. So black stays around them, whatever
an augmentation does.
"""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.worker.augmentation import Augmenter
from benchbench.worker.image_reading import ReadingMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchbench.worker.splits import TensorSplit


EVAL_BATCH_SIZE = 64
"""Large enough for AlexNet to be two to three times faster per image than at batch 12, small enough for memory."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image on its way into the network.

    Pixels become ``(pixel / 255 - mean) / std``; ``mean`` and ``std`` have one value per channel or one for all.
    """

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Span:
    """Rows or columns ``start <= i < stop``."""

    start: int
    stop: int

    @property
    def indices(self) -> slice:
        """Return the slice that takes them from a tensor."""
        return slice(self.start, self.stop)

    def joined(self, other: Span) -> Span:
        """Return the shortest span that contains both."""
        return Span(min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True)
class Window:
    """Where images may differ: outside of these rows and columns, those of a dataset are alike and of one color."""

    rows: Span
    columns: Span

    @property
    def has_border(self) -> bool:
        """Whether the first pixel of an image is outside: its color is then that of the border."""
        return self.rows.start > 0 and self.columns.start > 0

    def joined(self, other: Window) -> Window:
        """Return the smallest window that contains both."""
        return Window(self.rows.joined(other.rows), self.columns.joined(other.columns))


class Batches:
    """One split on a device, as float32 batches ``[n, C, S, S]`` with int64 labels ``[n]``.

    The last batch holds what is left, so that every image is seen.
    """

    def __init__(
        self,
        split: TensorSplit,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        device: torch.device,
        augmenter: Augmenter | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        reading: ReadingMode | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.eval_batch_size = EVAL_BATCH_SIZE
        self.device = device
        self._augmenter = augmenter or Augmenter()
        self._memory_format = memory_format
        self._reading = reading or ReadingMode()
        self._images = self._reading.of(split.images, device)
        self._labels = split.labels.to(device)
        self.preprocessing = preprocessing
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
    def labels(self) -> Tensor:
        """Return the labels of all images, int64 ``[N]``, in the order in which they are stored."""
        return self._labels

    @property
    def num_images(self) -> int:
        """Return the number of images in the split."""
        return len(self._labels)

    @property
    def window(self) -> Window:
        """Return where images may differ, augmented or not: all that is around them is black."""
        size = self.preprocessing.image_size
        height, width = (min(length, size) for length in self._images.shape[2:])
        top, left = (size - height) // 2, (size - width) // 2
        return Window(Span(top, top + height), Span(left, left + width))

    def shuffled(self, *, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return batches with every image once; order and augmentation are drawn now, from this seed and epoch."""
        generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
        rows = torch.randperm(self.num_images, generator=generator)
        order = rows.to(self.device)
        draws = tuple(numbers.to(self.device) for numbers in self._augmenter.draw(self.num_images, generator))
        return self._augmented(rows, order, draws)

    def _augmented(self, rows: Tensor, order: Tensor, draws: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.preprocessing.image_size
        spans = self._spans(self.batch_size)
        for chosen, read in zip(spans, self._images.read(spans, rows), strict=True):
            images, labels = crop(read, size), self._labels[order[chosen]]
            self._reading.after_reading()
            images, labels = self._augmenter(images, labels, tuple(numbers[chosen] for numbers in draws))
            yield self._normalize(pad(images, size)), labels

    def seen(self, num_images: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Return the first images of epoch 1 as the network gets them, but as pixels, uint8, and their labels."""
        batches = list(islice(self.shuffled(seed=seed, epoch=1), math.ceil(num_images / self.batch_size)))
        images, labels = (torch.cat(parts)[:num_images] for parts in zip(*batches, strict=True))
        return self._pixels(images), labels.cpu()

    def seen_in_evaluation(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return images of these rows as the network gets them, never augmented, but as pixels, and their labels."""
        (read,) = self._images.read([slice(0, len(rows))], rows)
        images = self._normalize(pad_or_crop(read, self.preprocessing.image_size))
        self._reading.after_reading()
        return self._pixels(images), self._labels.cpu()[rows]

    def _pixels(self, images: Tensor) -> Tensor:
        pixels = images.mul(self._std).add(self._mean).mul(255).round().clamp(0, 255)
        return pixels.to(torch.uint8).cpu().contiguous()

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, as stored and never augmented, in batches of ``eval_batch_size``.

        A single image that is left comes with the batch before it: some networks take no batch of one.
        """
        spans = self._spans(self.eval_batch_size)
        if len(spans) > 1 and self.num_images % self.eval_batch_size == 1:
            spans[-2:] = [slice(spans[-2].start, self.num_images)]
        for chosen, read in zip(spans, self._images.read(spans), strict=True):
            images = self._normalize(pad_or_crop(read, self.preprocessing.image_size))
            self._reading.after_reading()
            yield images, self._labels[chosen]

    def _spans(self, size: int) -> list[slice]:
        return [slice(start, start + size) for start in range(0, self.num_images, size)]

    def _normalize(self, images: Tensor) -> Tensor:
        # The order of operations is that of torchvision's ToTensor and Normalize, so that every bit is theirs.
        # A copy: an augmentation may return a tensor that it keeps, or one whose pixels share their memory.
        pixels = images.to(torch.float32, memory_format=self._memory_format, copy=True)
        return pixels.div_(255).sub_(self._mean).div_(self._std)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed for one epoch of a trial, unrelated to those of other seeds and epochs."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def pad_or_crop(images: Tensor, size: int) -> Tensor:
    """Return ``[N, C, size, size]``: the middle of each image, with black (0) around it if it is smaller.

    Splits odd differences as torchvision's CenterCrop does.
    """
    return pad(crop(images, size), size)


def crop(images: Tensor, size: int) -> Tensor:
    """Return the middle of images that are higher or wider than ``size``."""
    top, left = (max(round((length - size) / 2), 0) for length in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def pad(images: Tensor, size: int) -> Tensor:
    """Return images with black around them if they are lower or narrower than ``size``."""
    height, width = (max(size - length, 0) for length in images.shape[-2:])
    left, top = width // 2, height // 2
    return F.pad(images, (left, width - left, top, height - top)) if height or width else images


def padded_to_outputs(labels: Tensor, num_outputs: int) -> Tensor:
    """Return labels as they are, and fractions of classes padded with zeros to a model's number of outputs."""
    return labels if labels.ndim == 1 else F.pad(labels, (0, num_outputs - labels.shape[1]))


def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
