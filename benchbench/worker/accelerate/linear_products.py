"""Products of large linear layers with small batches, faster than those of the library that torch uses.

A step of a linear layer reads its weights three times and writes them once; at small batches MKL reads them several
times slower than memory gives them. Here the same products are split or expressed otherwise to avoid that.
Every product is one of fp32 numbers, summed in another order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.nn.grad import conv2d_weight

if TYPE_CHECKING:
    from torch import Tensor

MIN_WEIGHTS = 2**22
"""16 MB: smaller ones stay in the processor's cache."""

NUM_BLOCKS = 32
MAX_GRADIENT_BATCH = 16


class Products(ABC):
    """The three products of a linear layer, and the layers that they are for.

    x ``[N, I]``, weight ``[O, I]``, gradient of the output ``[N, O]``. Which layers they fit depends on
    shapes, batch size and type of number alone.
    """

    max_batch: ClassVar[int]

    @abstractmethod
    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return ``x @ weight.T``."""

    @abstractmethod
    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Return ``gradient @ weight``."""

    @abstractmethod
    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Return ``gradient.T @ x``."""

    def weight_gradient_rows(self, gradient: Tensor, x: Tensor, *, out: Tensor) -> Tensor:
        """Return ``gradient.T @ x`` in ``out``, for so few outputs that it stays in the processor's cache."""
        return torch.mm(gradient.t(), x, out=out)

    def fits(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
        """Tell whether a call is computed here."""
        return (
            self.is_large(weight)
            and all(_is_plain(tensor) for tensor in (x, bias) if tensor is not None)
            and x.ndim == 2  # noqa: PLR2004 - [N, I]
            and 1 < len(x) <= self.max_batch
            and weight.is_contiguous()
        )

    def is_large(self, weight: Tensor) -> bool:
        """Tell whether these are weights that are read from memory and not from a cache."""
        is_matrix = _is_plain(weight) and weight.ndim == 2  # noqa: PLR2004 - [O, I]
        return is_matrix and weight.numel() >= MIN_WEIGHTS and all(size % NUM_BLOCKS == 0 for size in weight.shape)


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor holds fp32 numbers on the CPU, and is neither sparse nor of a subclass with other rules."""
    is_dense = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
    return is_dense and tensor.device.type == "cpu" and tensor.dtype == torch.float32


class Blocks(Products):
    """The weights in blocks, as a batch of smaller products: for processors with AVX2 (docs/benchmarks.md)."""

    max_batch = 128

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Multiply blocks of rows."""
        blocks = weight.view(NUM_BLOCKS, -1, weight.shape[1]).transpose(1, 2)
        return _joined(torch.bmm(x.expand(NUM_BLOCKS, -1, -1), blocks))

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Multiply blocks of columns."""
        blocks = weight.view(len(weight), NUM_BLOCKS, -1).permute(1, 0, 2)
        return _joined(torch.bmm(gradient.expand(NUM_BLOCKS, -1, -1), blocks))

    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Make blocks of rows if the batch is so small that it pays."""
        if len(x) > MAX_GRADIENT_BATCH:
            return gradient.t() @ x
        blocks = gradient.t().reshape(NUM_BLOCKS, -1, len(x))
        return torch.bmm(blocks, x.expand(NUM_BLOCKS, -1, -1)).view(-1, x.shape[1])


def _joined(blocks: Tensor) -> Tensor:
    """Return ``[B, N, K]`` side by side, ``[N, B * K]``."""
    return blocks.transpose(0, 1).reshape(blocks.shape[1], -1)


class Images(Products):
    """The weights as an image of one column with I channels, and the batch as the filter: oneDNN on AVX-512.

    The view costs no copy; oneDNN's convolutions of 1x1 are products that read the weights once.
    """

    max_batch = 128

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve the weights with N filters of 1x1."""
        # Not F.conv2d, which does not ask oneDNN for a single image if there is one thread.
        outputs = torch.mkldnn_convolution(
            _as_image(weight), x[:, :, None, None], None, padding=(0, 0), stride=(1, 1), dilation=(1, 1), groups=1
        )
        return outputs.view(len(x), -1).contiguous()

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Take the gradient of those filters."""
        shape = (len(gradient), weight.shape[1], 1, 1)
        gradients = gradient.view(1, *gradient.shape, 1)
        product: Tensor = conv2d_weight(_as_image(weight), shape, gradients)  # type: ignore[no-untyped-call]
        return product.view(shape[:2])

    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Convolve the gradient, as an image with N channels, with I filters."""
        product = F.conv2d(_as_image(gradient.t().contiguous()), x.t().contiguous()[:, :, None, None])
        return product.view(x.shape[1], -1).t()


def _as_image(matrix: Tensor) -> Tensor:
    """View ``[O, I]`` as ``[1, I, O, 1]``, its channels last in memory."""
    rows, columns = matrix.shape
    return matrix.as_strided((1, columns, rows, 1), (rows * columns, 1, columns, columns))


PRODUCTS: dict[str, Products] = {"blocks": Blocks(), "images": Images()}
