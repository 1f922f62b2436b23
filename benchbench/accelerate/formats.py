"""The order of numbers in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def memory_format_of(x: Tensor) -> torch.memory_format:
    """Return the order in memory of ``[N, C, H, W]``, which what is computed from it keeps."""
    is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format
