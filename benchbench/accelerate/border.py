"""Convolutions of pictures with a constant border, which are computed once for all pictures of a batch.

A picture of 64x64 in the middle of 150x150 black pixels reaches 19x19 of the 36x36 outputs of AlexNet's first layer.
The others are the same for every picture: they follow from the weights alone, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.batches import Span

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.batches import Window

MAX_SHARE = 0.5
"""Of the outputs that see the picture; with more of them the additional work is not worth its while."""


def conv2d(
    images: Tensor,
    window: Window,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: object,
    padding: object,
) -> Tensor | None:
    """Return what :func:`torch.nn.functional.conv2d` does of ``[N, C, S, S]``, or None where that is as fast.

    The convolution has no groups and is not dilated. Exact but for the order of sums: the gradient of an output
    that all pictures share is the sum of theirs.
    """
    strides, paddings = _pair(stride), _pair(padding)
    if strides is None or paddings is None or images.requires_grad or not window.has_border:
        return None
    rows, columns = (
        _Axis(span, size, *how)
        for span, size, *how in zip(
            (window.rows, window.columns), images.shape[2:], weight.shape[2:], strides, paddings, strict=True
        )
    )
    if not (rows.fits and columns.fits) or rows.share * columns.share > MAX_SHARE:
        return None
    colour = images[:1, :, :1, :1].expand(-1, -1, *images.shape[2:])
    around = F.conv2d(colour, weight, bias, strides, paddings)
    inside = F.conv2d(images[:, :, rows.needed.indices, columns.needed.indices], weight, bias, strides)
    outputs = around.expand(len(images), -1, -1, -1).clone(memory_format=torch.channels_last)
    outputs[:, :, rows.seen.indices, columns.seen.indices] = inside
    return outputs


@dataclass(frozen=True)
class _Axis:
    """A convolution along rows or columns: ``size`` inputs, those in ``span`` with a picture in them."""

    span: Span
    size: int
    kernel: int
    stride: int
    padding: int

    @property
    def num_outputs(self) -> int:
        """How many outputs there are."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def seen(self) -> Span:
        """The outputs whose kernel reaches into the picture."""
        first = -(-(self.span.start + self.padding - self.kernel + 1) // self.stride)
        last = (self.span.stop - 1 + self.padding) // self.stride
        return Span(max(first, 0), min(last + 1, self.num_outputs))

    @property
    def needed(self) -> Span:
        """The inputs of those outputs."""
        seen = self.seen
        first, last = seen.start * self.stride, (seen.stop - 1) * self.stride
        return Span(first - self.padding, last - self.padding + self.kernel)

    @property
    def share(self) -> float:
        """How many of the outputs see the picture, of 1."""
        return (self.seen.stop - self.seen.start) / self.num_outputs

    @property
    def fits(self) -> bool:
        """Whether some outputs see the picture, and none of them needs padding."""
        return self.share > 0 and self.needed.start >= 0 and self.needed.stop <= self.size


def _pair(value: object) -> tuple[int, int] | None:
    """Return a stride or a padding for rows and columns, or None for a padding in words."""
    match value:
        case int():
            return value, value
        case (int() as rows, int() as columns):
            return rows, columns
        case _:
            return None
