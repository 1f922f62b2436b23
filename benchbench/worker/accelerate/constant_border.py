"""Convolutions of images that are equal outside of a window: what is the same for all is computed once per batch.

An image of 64x64 in the middle of 150x150 black pixels reaches 19x19 of the 36x36 outputs of AlexNet's first layer. The
others are the same for every image: they follow from the weights alone, in both directions. Only the first layer is
computed in parts. In later layers, the gradient of an activation may be read, and it differs between images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.worker.accelerate.lever import Lever
from benchbench.worker.batches import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers
    from benchbench.worker.batches import Window

MAX_FRACTION = 0.8
"""Of the work of a convolution of whole images; with more of it, computing it in parts does not pay."""


@dataclass(frozen=True)
class ConstantBorder(Lever):
    """The constant border around small images, convolved once for all images of a batch."""

    fact = "border"
    name = "once for all images"

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """On processors, unless the model is compiled."""
        return cls() if target.device_type == "cpu" and not target.is_compiled else None

    def fits(self, case: Case) -> bool:
        """Tell whether images have a border and something convolves them."""
        has_convolutions = any(isinstance(layer, nn.Conv2d) for layer in case.model.modules())
        return has_convolutions and case.window is not None and case.window.has_border

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Tell convolutions where images may differ."""
        return replace(layers, window=case.window)


def conv2d(
    images: Tensor,
    window: Window,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: object,
    padding: object,
    convolve: Callable[[Tensor, Tensor, Tensor | None, tuple[int, int]], Tensor],
) -> Tensor | None:
    """Return what :func:`torch.nn.functional.conv2d` does of ``[N, C, S, S]``, or None if that is as fast.

    The convolution has no groups and is not dilated; ``convolve`` computes that of the windows, of images, weight, bias
    and strides without padding. Exact but for the order of sums. Images get no gradient.
    """
    axes = _axes(images, window, weight.shape[2:], stride, padding)
    if axes is None:
        return None
    rows, columns = axes
    if 1 + rows.fraction * columns.fraction * len(images) > MAX_FRACTION * len(images):
        return None
    around = F.conv2d(images[:1], weight, bias, (rows.stride, columns.stride), (rows.padding, columns.padding))
    inside = convolve(_needed(images, rows, columns), weight, bias, (rows.stride, columns.stride))
    outputs: Tensor = _Repeated.apply(around, len(images))
    outputs[:, :, rows.seen.indices, columns.seen.indices] = inside
    return outputs


class _Repeated(torch.autograd.Function):
    """One image, repeated: torch is ten times slower at the sum of its gradients.

    It keeps its memory format, because all layers that follow compute in that, and most are less exact channels-last.
    """

    @staticmethod
    def forward(_: Any, image: Tensor, times: int) -> Tensor:
        is_plain = image.is_contiguous()
        memory_format = torch.contiguous_format if is_plain else torch.channels_last
        return image.expand(times, -1, -1, -1).clone(memory_format=memory_format)

    @staticmethod
    def backward(_: Any, *gradients: Any) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient.permute(0, 2, 3, 1).sum(0, keepdim=True).permute(0, 3, 1, 2), None


@dataclass(frozen=True)
class _Axis:
    """What slides along rows or columns: ``size`` inputs, those in ``span`` with an image in them."""

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
        """The outputs whose kernel reaches into the image."""
        first = -(-(self.span.start + self.padding - self.kernel + 1) // self.stride)
        last = (self.span.stop - 1 + self.padding) // self.stride
        return Span(max(first, 0), min(last + 1, self.num_outputs))

    @property
    def needed(self) -> Span:
        """The inputs of those outputs; before 0, and from ``size`` on, they are padding."""
        first, last = self.seen.start * self.stride, (self.seen.stop - 1) * self.stride
        return Span(first - self.padding, last - self.padding + self.kernel)

    @property
    def fraction(self) -> float:
        """The fraction of the outputs that see the image."""
        return (self.seen.stop - self.seen.start) / self.num_outputs if self.num_outputs > 0 else 0


def _axes(
    images: Tensor, window: Window, kernel: Sequence[int], stride: object, padding: object
) -> tuple[_Axis, _Axis] | None:
    """Return rows and columns, or None if no output sees the image, or stride and padding are no numbers."""
    strides, paddings = _pair(stride), _pair(padding)
    if strides is None or paddings is None:
        return None
    spans = (window.rows, window.columns)
    rows, columns = (_Axis(*axis) for axis in zip(spans, images.shape[2:], kernel, strides, paddings, strict=True))
    return (rows, columns) if min(rows.fraction, columns.fraction) > 0 else None


def _needed(images: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Return the inputs of the windows, with the padding among them."""
    around = [pad for axis in (columns, rows) for pad in (-axis.needed.start, axis.needed.stop - axis.size)]
    return F.pad(images, around)


def _pair(value: object) -> tuple[int, int] | None:
    """Return a stride or a padding for rows and columns, or None for a padding in words."""
    match value:
        case int():
            return value, value
        case (int() as rows, int() as columns):
            return rows, columns
        case _:
            return None
