"""Convolutions of 3x3 with 2.25 times fewer multiplications: Winograd's F(2x2, 3x3), in both directions.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1. Every 2x2 outputs come
from a tile of 4x4 inputs; tiles and weights are transformed, multiplied in 16 matrix products over channels, and the
products are transformed back. Rounding errors are as large as those of a direct convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.worker.accelerate.lever import Lever, plain_weights

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers

MIN_CHANNELS = 192
MIN_WORK = 64 * MIN_CHANNELS
"""Tiles times channels: below it the transforms take longer than they save (docs/benchmarks.md)."""

MAX_TILES = 2**21
MAX_WEIGHTS = 2**20
"""Transformed numbers at once: many and large passing tensors would leave memory in pieces."""

MAX_KEPT = 1.5
"""Transformed weights by transformed inputs that are kept for the backward pass; more of them are made again."""

_OUTPUTS, _KERNEL, _TILE = 2, 3, 4


@dataclass(frozen=True)
class Winograd(Lever):
    """Convolutions of 3x3 with fewer multiplications, for processors that multiply slowly."""

    fact = "convolutions"
    name = "winograd"

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """In fp32 on AVX2, unless the model is compiled."""
        is_slow = target.device_type == "cpu" and target.instructions == "AVX2" and target.precision == "fp32"
        return cls() if is_slow and not target.is_compiled else None

    def fits(self, case: Case) -> bool:
        """Tell whether a layer is wide enough."""
        return any(map(_is_wide, case.model.modules()))

    def apply(self, case: Case, layers: Layers) -> Layers:  # noqa: ARG002
        """Compute wide convolutions by Winograd's algorithm."""
        return replace(layers, with_winograd=True)


def _is_wide(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.dilation != (1, 1):
        return False
    weights = plain_weights(layer, (nn.Conv2d,))
    return any(has_shape(weight, stride=layer.stride, padding=layer.padding) for weight in weights)


def fits(x: Tensor, weight: Tensor, *, stride: Any, padding: Any) -> bool:
    """Tell whether a convolution without groups and dilation is computed here; shapes and type of number decide."""
    is_float = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    if x.ndim != 4 or not is_float or not has_shape(weight, stride=stride, padding=padding):  # noqa: PLR2004 - [N, C, H, W]
        return False
    num_images, _, height, width = x.shape
    num_tiles = num_images * (height // _OUTPUTS) * (width // _OUTPUTS)
    is_even = height % _OUTPUTS == width % _OUTPUTS == 0
    return is_even and num_tiles * min(weight.shape[:2]) >= MIN_WORK


def has_shape(weight: Tensor, *, stride: Any, padding: Any) -> bool:
    """Tell whether a convolution without groups and dilation is computed here if there are enough images."""
    return (
        weight.shape[2:] == (_KERNEL, _KERNEL)
        and stride in (1, (1, 1))
        and padding in (1, (1, 1))
        and min(weight.shape[:2]) >= MIN_CHANNELS
    )


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution of ``[N, C, H, W]`` with ``[K, C, 3, 3]``, stride 1 and padding 1: ``[N, K, H, W]``.

    Channels are last in the memory of what it returns.
    """
    return _Convolution.apply(x, weight, bias)  # type: ignore[no-any-return]


class _Convolution(torch.autograd.Function):
    """Channels are last inside, so that transforms and products run over them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        shape = (len(x), len(weight), *x.shape[2:])
        outputs = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        tiles = None
        parts = _parts(weight)
        kept = [_transformed_weights(weight[filters]) for filters in parts] if _keeps_weights(x, weight) else None
        num_at_once = max(1, MAX_TILES // (4 * x[:1].numel()))
        for part, of_part in zip(torch.split(x, num_at_once), torch.split(outputs, num_at_once), strict=True):
            tiles = _transformed_tiles(part)
            for i, filters in enumerate(parts):
                weights = _transformed_weights(weight[filters]) if kept is None else kept[i]
                products = torch.bmm(tiles.transpose(0, 1), weights.permute(1, 2, 0))
                blocks = _blocks(of_part[:, filters].permute(0, 2, 3, 1))
                blocks.copy_((_A @ products.transpose(0, 1)).view(blocks.shape))
        if bias is not None:
            outputs.add_(bias[:, None, None])
        ctx.save_for_backward(x, weight)
        ctx.tiles, ctx.weights = tiles if len(x) <= num_at_once else None, _keep(kept, weight)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        # A second derivative needs the graph of what was kept; and what was kept is not needed again.
        has_graph = torch.is_grad_enabled()
        tiles = _transformed_tiles(x) if has_graph or ctx.tiles is None else ctx.tiles
        kept = _kept_of(ctx.weights, weight)
        ctx.weights = ctx.tiles = None
        last = _channels_last(gradient)
        of_products = _of_products(last)
        of_tiles = tiles.new_empty(_TILE**2, len(tiles), x.shape[1]) if of_x else None
        weight_gradient = torch.empty_like(weight) if of_weight else None
        for i, filters in enumerate(_parts(weight)):
            of_part = of_products[:, :, filters]
            if of_tiles is not None:
                weights = _transformed_weights(weight[filters]) if kept is None else kept[i]
                of_tiles.baddbmm_(of_part, weights.transpose(0, 1), beta=1 if filters.start else 0)
            if weight_gradient is not None:
                of_weights = torch.bmm(of_part.transpose(1, 2), tiles.transpose(0, 1))
                weight_gradient[filters] = _weight_gradient(of_weights)
        return (
            None if of_tiles is None else _input_gradient(x, of_tiles),
            weight_gradient,
            last.sum((0, 1, 2)) if of_bias else None,
        )


def _keep(transformed: list[Tensor] | None, weight: Tensor) -> tuple[list[Tensor], Tensor] | None:
    """Return what :func:`_kept_of` takes in the backward pass; None if nothing is kept."""
    return None if transformed is None else (transformed, _fingerprint(weight))


def _kept_of(kept: tuple[list[Tensor], Tensor] | None, weight: Tensor) -> list[Tensor] | None:
    """Return the transformed weights that were kept in the forward pass, or None if they have to be made again.

    That is so for a second derivative, which needs their graph, and if a model has replaced the numbers of the weight
    since then (by ``weight.data``): torch uses the current ones.
    """
    if kept is None or torch.is_grad_enabled():
        return None
    transformed, fingerprint = kept
    return transformed if torch.equal(fingerprint, _fingerprint(weight)) else None


def _fingerprint(weight: Tensor) -> Tensor:
    """Return a sum of each filter that depends on the order of its numbers: a model may flip or roll them."""
    filters = weight.detach().flatten(1)
    return filters @ torch.linspace(1, 2, filters.shape[1], dtype=filters.dtype, device=filters.device)


def _keeps_weights(x: Tensor, weight: Tensor) -> bool:
    num_tiles = x.numel() // x.shape[1] // _OUTPUTS**2
    return len(weight) <= MAX_KEPT * num_tiles


def _parts(weight: Tensor) -> list[slice]:
    """Return the filters of ``[K, C, 3, 3]`` in equal parts, each transformed at once."""
    num_filters = len(weight)
    num_parts = math.ceil(_TILE**2 * weight.shape[1] * num_filters / MAX_WEIGHTS)
    num_at_once = math.ceil(num_filters / num_parts)
    return [slice(start, start + num_at_once) for start in range(0, num_filters, num_at_once)]


def _transformed_weights(weight: Tensor) -> Tensor:
    """Return ``[K, 16, C]``."""
    num_outputs, num_inputs = weight.shape[:2]
    return _G @ weight.permute(0, 2, 3, 1).reshape(num_outputs, _KERNEL**2, num_inputs)


def _weight_gradient(of_weights: Tensor) -> Tensor:
    """Return ``[K, C, 3, 3]`` of ``[16, K, C]``."""
    _, num_outputs, num_inputs = of_weights.shape
    gradient = _G.t() @ of_weights.transpose(0, 1)
    return gradient.view(num_outputs, _KERNEL, _KERNEL, num_inputs).permute(0, 3, 1, 2)


def _transformed_tiles(x: Tensor) -> Tensor:
    """Return ``[tiles, 16, C]``."""
    padded = F.pad(_channels_last(x), (0, 0, 1, 1, 1, 1))
    tiles = padded.unfold(1, _TILE, _OUTPUTS).unfold(2, _TILE, _OUTPUTS).permute(0, 1, 2, 4, 5, 3)
    return _B @ tiles.reshape(-1, _TILE**2, x.shape[1])


def _of_products(gradient: Tensor) -> Tensor:
    """Return ``[16, tiles, K]`` of ``[N, H, W, K]``."""
    blocks = _blocks(gradient).reshape(-1, _OUTPUTS**2, gradient.shape[-1])
    return (_A.t() @ blocks).transpose(0, 1)


def _input_gradient(x: Tensor, of_tiles: Tensor) -> Tensor:
    """Return ``[N, C, H, W]`` of ``[16, tiles, C]``: tiles overlap by two rows and columns, whose sums it takes."""
    num_images, channels, height, width = x.shape
    tiles = _B.t() @ of_tiles.transpose(0, 1)
    tiles = tiles.view(num_images, height // _OUTPUTS, width // _OUTPUTS, _TILE, _TILE, channels)
    padded = x.new_zeros(num_images, height + 2, width + 2, channels)
    for row in range(_TILE):
        for column in range(_TILE):
            rows, columns = slice(row, row + height, _OUTPUTS), slice(column, column + width, _OUTPUTS)
            padded[:, rows, columns] += tiles[:, :, :, row, column]
    return padded[:, 1:-1, 1:-1].contiguous().permute(0, 3, 1, 2)


def _blocks(last: Tensor) -> Tensor:
    """View ``[N, H, W, K]`` as blocks of 2x2, ``[N, H / 2, W / 2, 2, 2, K]``."""
    num_images, height, width, channels = last.shape
    shape = (num_images, height // _OUTPUTS, _OUTPUTS, width // _OUTPUTS, _OUTPUTS, channels)
    return last.view(shape).transpose(2, 3)


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
