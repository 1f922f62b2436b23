"""Convolutions of 5x5 with 1.43 times fewer multiplications: Winograd's along rows alone, in both directions.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1. Every two outputs of a row
come from 6 inputs. The first three columns of the weights are taken by F(2, 3) and the last two by F(2, 2), 4 + 3
multiplications instead of 10: F(2, 5) itself has transforms that lose too many digits, and transforms along both
directions take as long as they save. The rows of the weights are joined to the channels in 7 matrix products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.worker.accelerate.winograd_3x3 import are_batches_of_floats, keep, kept_of

if TYPE_CHECKING:
    from torch import Tensor

MIN_CHANNELS = 64
MIN_KERNELS = 64 * 192
MIN_TILES = 512
"""Channels, inputs times outputs and pairs of outputs: below them the transforms take longer than they save
(docs/benchmarks.md)."""

MAX_COLUMNS = 2**22
"""Numbers of inputs that are laid out for a matrix product at once."""

_OUTPUTS, _KERNEL, _TILE, _PRODUCTS = 2, 5, 6, 7


def fits(x: Tensor, weight: Tensor, *, stride: Any, padding: Any) -> bool:
    """Tell whether a convolution without groups and dilation is computed here, by shapes and type of number alone."""
    if not has_shape(weight, stride=stride, padding=padding) or not are_batches_of_floats(x, weight):
        return False
    num_images, _, height, width = x.shape
    added = 2 * _num_pixels(padding) - _KERNEL + 1
    num_rows, num_columns = height + added, width + added
    is_even = num_rows > 0 and num_columns > 0 and num_columns % _OUTPUTS == 0
    return is_even and num_images * num_rows * num_columns // _OUTPUTS >= MIN_TILES


def has_shape(weight: Tensor, *, stride: Any, padding: Any) -> bool:
    """Tell whether a convolution without groups and dilation is computed here, given images enough."""
    num_outputs, num_inputs, *kernel = weight.shape
    return (
        kernel == [_KERNEL, _KERNEL]
        and stride in (1, (1, 1))
        and padding in (0, (0, 0), 2, (2, 2))
        and min(num_outputs, num_inputs) >= MIN_CHANNELS
        and num_outputs * num_inputs >= MIN_KERNELS
    )


def _num_pixels(padding: int | tuple[int, int]) -> int:
    return padding if isinstance(padding, int) else padding[0]


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, *, padding: int | tuple[int, int] = 0) -> Tensor:
    """Return the convolution of ``[N, C, H, W]`` with ``[K, C, 5, 5]``, stride 1, padding 0 or 2.

    That is ``[N, K, H - 4, W - 4]`` without padding; channels are last in its memory.
    """
    around = _num_pixels(padding)
    padded = F.pad(x, (around, around, around, around)) if around else x
    return _Convolution.apply(padded, weight, bias)  # type: ignore[no-any-return]


class _Convolution(torch.autograd.Function):
    """Of H x W pixels. Tiles are ``[7, N, (W - 4) / 2, H, C]``: pixels below each other lie side by side in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        num_images, channels, height, width = x.shape
        num_rows, num_columns = height - _KERNEL + 1, width - _KERNEL + 1
        shape = (num_images, len(weight), num_rows, num_columns)
        outputs = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        num_at_once = max(1, MAX_COLUMNS // (_PRODUCTS * num_rows * num_columns // _OUTPUTS * _KERNEL * channels))
        weights = _transformed_weights(weight)
        columns = None
        for part, of_part in zip(torch.split(x, num_at_once), torch.split(outputs, num_at_once), strict=True):
            columns = _columns(part)
            products = torch.bmm(columns, weights.transpose(1, 2))
            pairs = (_A @ products.flatten(1)).view(_OUTPUTS, len(part), -1, num_rows, len(weight))
            _pairs(of_part).copy_(pairs)
        if bias is not None:
            outputs.add_(bias[:, None, None])
        ctx.save_for_backward(x, weight)
        ctx.weights, ctx.num_at_once = keep(weights, weight), num_at_once
        ctx.columns = columns if len(x) <= num_at_once else None
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        # A second derivative needs the graph of what was kept; and what was kept is not needed again.
        has_graph = torch.is_grad_enabled()
        weights = kept_of(ctx.weights, weight)
        if weights is None:
            weights = _transformed_weights(weight)
        kept = None if has_graph else ctx.columns
        ctx.weights = ctx.columns = None
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        x_gradient = torch.zeros_like(x, memory_format=torch.channels_last) if of_x else None
        of_weights = torch.zeros_like(weights) if of_weight else None
        for start in range(0, len(x), ctx.num_at_once):
            part = slice(start, start + ctx.num_at_once)
            of_products = (_A.t() @ _pairs(gradient[part]).flatten(1)).view(_PRODUCTS, -1, len(weight))
            if of_weights is not None:
                columns = _columns(x[part]) if kept is None else kept
                of_weights.baddbmm_(of_products.transpose(1, 2), columns)
            if x_gradient is not None:
                _add_input_gradient(x_gradient[part], torch.bmm(of_products, weights))
        return (
            x_gradient,
            None if of_weights is None else _weight_gradient(of_weights),
            gradient.permute(0, 2, 3, 1).sum((0, 1, 2)) if of_bias else None,
        )


def _transformed_weights(weight: Tensor) -> Tensor:
    """Return ``[7, K, 5 C]`` of ``[K, C, 5, 5]``."""
    by_column = weight.permute(3, 0, 2, 1).reshape(_KERNEL, -1)
    return (_G @ by_column).view(_PRODUCTS, len(weight), -1)


def _weight_gradient(of_weights: Tensor) -> Tensor:
    """Return ``[K, C, 5, 5]`` of ``[7, K, 5 C]``."""
    by_column = (_G.t() @ of_weights.flatten(1)).view(_KERNEL, of_weights.shape[1], _KERNEL, -1)
    return by_column.permute(1, 3, 2, 0)


def _columns(x: Tensor) -> Tensor:
    """Return ``[7, N (W - 4) / 2 (H - 4), 5 C]`` of ``[N, C, H, W]``."""
    _, channels, height, _ = x.shape
    tiles = x.unfold(3, _TILE, _OUTPUTS).permute(4, 0, 3, 2, 1)
    transformed = (_B @ tiles.reshape(_TILE, -1)).view(_PRODUCTS, -1, height * channels)
    return transformed.unfold(2, _KERNEL * channels, channels).reshape(_PRODUCTS, -1, _KERNEL * channels)


def _add_input_gradient(gradient: Tensor, of_columns: Tensor) -> None:
    """Add to ``[N, C, H, W]``: columns of different rows overlap, and tiles of different pairs of outputs."""
    num_images, channels, height, width = gradient.shape
    num_rows, num_columns = height - _KERNEL + 1, width - _KERNEL + 1
    by_row = of_columns.view(-1, num_rows, _KERNEL, channels)
    of_tiles = gradient.new_zeros(len(by_row), height, channels)
    for row in range(_KERNEL):
        of_tiles[:, row : row + num_rows] += by_row[:, :, row]
    tiles = (_B.t() @ of_tiles.view(_PRODUCTS, -1)).view(_TILE, num_images, -1, height, channels)
    for column in range(_TILE):
        gradient[..., column : column + num_columns : _OUTPUTS] += tiles[column].permute(0, 3, 2, 1)


def _pairs(outputs: Tensor) -> Tensor:
    """View ``[N, K, H, W]`` of outputs as ``[2, N, W / 2, H, K]``."""
    num_images, channels, height, width = outputs.shape
    shape = (num_images, height, width // _OUTPUTS, _OUTPUTS, channels)
    return outputs.permute(0, 2, 3, 1).view(shape).permute(3, 0, 2, 1, 4)


_B = torch.tensor(
    [
        [1, 0, -1, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, -1, 1, 0, 0, 0],
        [0, 1, 0, -1, 0, 0],
        [0, 0, 0, 1, -1, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, -1, 1],
    ]
).float()
_G = torch.tensor(
    [
        [1, 0, 0, 0, 0],
        [0.5, 0.5, 0.5, 0, 0],
        [0.5, -0.5, 0.5, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1],
    ]
)
_A = torch.tensor([[1, 1, 1, 0, 1, 1, 0], [0, 1, -1, -1, 0, 1, 1]]).float()
"""The transforms of inputs, weights and products: F(2, 3) of the paper, and below it F(2, 2)."""
