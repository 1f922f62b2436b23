"""Where the images of a split are read from while a trial runs: the device, or the file that they are mapped from.

Images that take too much of the device's memory stay in their file. A thread reads the next batches while the device
computes, into pinned memory for a GPU.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import psutil
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

BATCHES_AHEAD = 2

RESIDENT_FRACTION = 0.5
"""The part of a device's free memory that images may take; the rest is for the network and its steps."""


def is_resident(num_bytes: int, device: torch.device) -> bool:
    """Tell whether so many bytes of images are to be kept on the device, or in the memory of the machine."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available
    return num_bytes <= RESIDENT_FRACTION * free


class Images(Protocol):
    """The images of a split: uint8 ``[N, C, H, W]``."""

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""

    def read(self, rows: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield, on the device, the images in each of these rows: int64 ``[n]`` on the CPU."""


class Resident:
    """Images that are on the device."""

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self._images = images.to(device)
        self._device = device

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""
        return self._images.shape

    def read(self, rows: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images in each of these rows."""
        for each in rows:
            yield self._images[each.to(self._device)]


class Streamed:
    """Images that stay in the file that they are mapped from, and are read a few batches ahead.

    ``after_reading`` is called when the images of a batch have been read; it can release the mapped pages.
    """

    def __init__(self, images: Tensor, device: torch.device, after_reading: Callable[[], None]) -> None:
        self._images = images
        self._device = device
        self._after_reading = after_reading

    @property
    def shape(self) -> torch.Size:
        """``[N, C, H, W]``."""
        return self._images.shape

    def read(self, rows: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images in each of these rows, while a thread reads those that follow."""
        waiting = iter(rows)
        with ThreadPoolExecutor(1, thread_name_prefix="bench-read") as reader:
            ahead = deque(reader.submit(self._read, each) for each in islice(waiting, BATCHES_AHEAD))
            try:
                while ahead:
                    images = ahead.popleft().result()
                    following = next(waiting, None)
                    if following is not None:
                        ahead.append(reader.submit(self._read, following))
                    yield images.to(self._device, non_blocking=True)
            finally:
                reader.shutdown(wait=False, cancel_futures=True)

    def _read(self, rows: Tensor) -> Tensor:
        images = self._images[rows]
        self._after_reading()
        return images.pin_memory() if self._device.type == "cuda" else images
