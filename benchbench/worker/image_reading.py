"""Where the images of a split are read from while a trial runs: the device, or the file that they are mapped from.

Images that take too much of the device's memory stay in their file. A thread reads the next batches while the device
computes, into pinned memory for a GPU.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import psutil
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

BATCHES_AHEAD = 2

RESIDENT_FRACTION = 0.5
"""The part of a device's free memory that images may take; the rest is for the network and its steps."""


def is_resident(num_bytes: int, device: torch.device) -> bool:
    """Tell whether so many bytes of images are kept in the memory of the device, which for a CPU is the machine's."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available
    return num_bytes <= RESIDENT_FRACTION * free


@dataclass(frozen=True)
class ReadingMode:
    """How images are read: from the device if they are ``resident``, or else from the file that they are mapped from.

    ``after_reading`` is called when the images of a batch have been read.
    """

    resident: bool = True
    after_reading: Callable[[], None] = lambda: None

    def of(self, images: Tensor, device: torch.device) -> Images:
        """Return what reads these images for a device."""
        return Resident(images, device) if self.resident else Streamed(images, device)


class Images(Protocol):
    """The images of a split: uint8 ``[N, C, H, W]``."""

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""

    def read(self, spans: Sequence[slice], order: Tensor | None = None) -> Iterator[Tensor]:
        """Yield the images of each span on the device: of all images as stored, or in an ``order``, int64 ``[N]``."""


class Resident:
    """Images that are on the device."""

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self._images = images.to(device)

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""
        return self._images.shape

    def read(self, spans: Sequence[slice], order: Tensor | None = None) -> Iterator[Tensor]:
        """Yield the images of each span."""
        index = None if order is None else order.to(self._images.device)
        for span in spans:
            yield self._images[span if index is None else index[span]]


class Streamed:
    """Images that stay in the file that they are mapped from, and are read a few batches ahead by a thread."""

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self._images = images
        self._device = device

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""
        return self._images.shape

    def read(self, spans: Sequence[slice], order: Tensor | None = None) -> Iterator[Tensor]:
        """Yield the images of each span, while the thread reads those that follow."""
        waiting = iter(spans)
        with ThreadPoolExecutor(1, thread_name_prefix="bench-read") as reader:
            ahead = deque(reader.submit(self._read, order, span) for span in islice(waiting, BATCHES_AHEAD))
            try:
                while ahead:
                    images = ahead.popleft().result()
                    ahead.extend(reader.submit(self._read, order, span) for span in islice(waiting, 1))
                    # Of memory that is not pinned, MPS may read what is there after it was freed.
                    yield images.to(self._device, non_blocking=self._device.type == "cuda")
            finally:
                reader.shutdown(cancel_futures=True)  # the loop may have ended early

    def _read(self, order: Tensor | None, span: slice) -> Tensor:
        images = self._images[span].clone() if order is None else self._images[order[span]]
        return images.pin_memory() if self._device.type == "cuda" else images
