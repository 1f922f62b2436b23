"""Convolutions of 3x3 with 2.25 times fewer multiplications: Winograd's F(2x2, 3x3), in both directions.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1. Every 2x2 outputs come
from a tile of 4x4 inputs; tiles and weights are transformed, multiplied in 16 matrix products over channels, and the
products are transformed back. Rounding errors are as large as those of a direct convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.accelerate.formats import memory_format_of

if TYPE_CHECKING:
    from torch import Tensor

MIN_CHANNELS = 192
MIN_WORK = 64 * MIN_CHANNELS
"""Tiles times channels: below it the transforms take longer than they save (docs/benchmarks.md)."""

_OUTPUTS, _KERNEL, _TILE = 2, 3, 4


def fits_layer(layer: nn.Module) -> bool:
    """Tell whether a layer is computed here, given pictures enough."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and _has_shape(layer.weight, stride=layer.stride, padding=layer.padding)
    )


def fits(x: Tensor, weight: Tensor, *, stride: Any, padding: Any) -> bool:
    """Tell whether a convolution without groups and dilation is computed here, by shapes and type of number alone."""
    if x.ndim != 4 or not _has_shape(weight, stride=stride, padding=padding):  # noqa: PLR2004 - [N, C, H, W]
        return False
    if x.dtype != torch.float32 or weight.dtype != torch.float32 or x.device.type != "cpu":
        return False
    num_images, _, height, width = x.shape
    num_tiles = num_images * (height // _OUTPUTS) * (width // _OUTPUTS)
    is_even = height % _OUTPUTS == width % _OUTPUTS == 0
    return is_even and num_tiles * min(weight.shape[:2]) >= MIN_WORK


def _has_shape(weight: Tensor, *, stride: Any, padding: Any) -> bool:
    return (
        weight.shape[2:] == (_KERNEL, _KERNEL)
        and stride in (1, (1, 1))
        and padding in (1, (1, 1))
        and min(weight.shape[:2]) >= MIN_CHANNELS
    )


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution of ``[N, C, H, W]`` with ``[K, C, 3, 3]``, stride 1 and padding 1: ``[N, K, H, W]``."""
    return _Convolution.apply(x, weight, bias)  # type: ignore[no-any-return]


class _Convolution(torch.autograd.Function):
    """Channels are last inside, so that transforms and products run over them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        weights = _transformed_weights(weight)
        # Transformed tiles are four times as large as the input, so as many pictures at once as take no more memory
        # than the weights. What one call makes is kept for the backward pass; more is made again.
        parts = torch.split(x, max(1, weights.numel() // (4 * x[:1].numel())))
        tiles = None
        outputs = []
        for part in parts:
            tiles = _transformed_tiles(part)
            outputs.append(_outputs(torch.bmm(tiles, weights.transpose(1, 2)), part))
        found = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        if bias is not None:
            found.add_(bias)
        ctx.save_for_backward(x, weight)
        ctx.transformed = weights, tiles if len(parts) == 1 else None
        return found.permute(0, 3, 1, 2).contiguous(memory_format=memory_format_of(x))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        weights, tiles = ctx.transformed
        of_x, of_weight, of_bias = ctx.needs_input_grad
        num_images, channels, height, width = gradient.shape
        last = _channels_last(gradient)
        of_outputs = last.view(num_images, height // _OUTPUTS, _OUTPUTS, width // _OUTPUTS, _OUTPUTS, channels)
        of_outputs = of_outputs.permute(2, 4, 0, 1, 3, 5).reshape(_OUTPUTS**2, -1)
        of_products = (_A.t() @ of_outputs).view(_TILE**2, -1, channels)
        found_x = found_weight = None
        if of_x:
            found_x = _input_gradient(x, torch.bmm(of_products, weights))
        if of_weight:
            tiles = _transformed_tiles(x) if tiles is None else tiles
            found_weight = _weight_gradient(weight, torch.bmm(of_products.transpose(1, 2), tiles))
        return found_x, found_weight, last.sum((0, 1, 2)) if of_bias else None


def _transformed_weights(weight: Tensor) -> Tensor:
    """Return ``[16, K, C]``."""
    return (_G @ weight.flatten(2).flatten(0, 1).t()).view(_TILE**2, *weight.shape[:2])


def _weight_gradient(weight: Tensor, of_weights: Tensor) -> Tensor:
    return (_G.t() @ of_weights.flatten(1)).t().reshape(weight.shape)


def _transformed_tiles(x: Tensor) -> Tensor:
    """Return ``[16, tiles, C]``."""
    tiles = _tiles(F.pad(_channels_last(x), (0, 0, 1, 1, 1, 1)))
    return (_B @ tiles.reshape(_TILE**2, -1)).view(_TILE**2, -1, x.shape[1])


def _outputs(products: Tensor, x: Tensor) -> Tensor:
    """Return ``[N, H, W, K]``."""
    num_images, _, height, width = x.shape
    outputs = _A @ products.flatten(1)
    outputs = outputs.view(_OUTPUTS, _OUTPUTS, num_images, height // _OUTPUTS, width // _OUTPUTS, -1)
    return outputs.permute(2, 3, 0, 4, 1, 5).reshape(num_images, height, width, -1)


def _input_gradient(x: Tensor, of_tiles: Tensor) -> Tensor:
    num_images, channels, height, width = x.shape
    padded = x.new_zeros(num_images, height + 2, width + 2, channels)
    tiles = _tiles(padded)
    found = (_B.t() @ of_tiles.flatten(1)).view(tiles.shape)
    for row in range(_TILE):
        for column in range(_TILE):
            tiles[row, column] += found[row, column]
    return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2).contiguous(memory_format=memory_format_of(x))


def _tiles(padded: Tensor) -> Tensor:
    """View ``[N, H + 2, W + 2, C]`` as overlapping tiles ``[4, 4, N, H / 2, W / 2, C]``."""
    return padded.unfold(1, _TILE, _OUTPUTS).unfold(2, _TILE, _OUTPUTS).permute(4, 5, 0, 1, 2, 3)


def _channels_last(x: Tensor) -> Tensor:
    """Return ``[N, H, W, C]``, whose channels are last in memory."""
    return x.permute(0, 2, 3, 1).contiguous()


def _in_both_directions(rows: list[list[float]]) -> Tensor:
    matrix = torch.tensor(rows)
    return torch.kron(matrix, matrix)


_B = _in_both_directions([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]).float()
_G = _in_both_directions([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_A = _in_both_directions([[1, 1, 1, 0], [0, 1, -1, -1]]).float()
"""The transforms of tiles, weights and products, equation 4 of the paper."""
