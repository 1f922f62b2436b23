"""Products of large linear layers with small batches, faster than by the library that torch gives them to.

A step of a linear layer reads its weights three times and writes them once; at small batches MKL reads them several
times slower than memory gives them. Here the same products are split, or put in other words, so that they are not.
Every product is one of fp32 numbers, summed in another order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.nn.grad import conv2d_weight
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

MIN_WEIGHTS = 2**22
"""16 MB: smaller ones stay in the processor's cache."""

NUM_BLOCKS = 8
NUM_GRADIENT_BLOCKS = 64
MAX_GRADIENT_BATCH = 16


class Products(ABC):
    """The three products of a linear layer, and the layers that they are for.

    x ``[N, I]``, weight ``[O, I]``, gradient of the output ``[N, O]``. What they fit is told by shape, batch and type
    of number alone.
    """

    max_batch: ClassVar[int]
    divisor: ClassVar[int]

    @abstractmethod
    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return ``x @ weight.T``."""

    @abstractmethod
    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Return ``gradient @ weight``."""

    @abstractmethod
    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Return ``gradient.T @ x``."""

    def fits_layer(self, layer: torch.nn.Linear, *, batch_size: int) -> bool:
        """Tell whether full batches of a layer that is given vectors are computed here."""
        return self.is_large(layer.weight) and 1 < batch_size <= self.max_batch

    def fits(self, x: Tensor, weight: Tensor) -> bool:
        """Tell whether a call is computed here."""
        return (
            self.is_large(weight)
            and x.ndim == 2  # noqa: PLR2004 - [N, I]
            and 1 < len(x) <= self.max_batch
            and weight.is_contiguous()
        )

    def is_large(self, weight: Tensor) -> bool:
        """Tell whether these are weights that are read from memory and not from a cache."""
        is_plain = weight.ndim == 2 and weight.device.type == "cpu" and weight.dtype == torch.float32  # noqa: PLR2004
        return is_plain and weight.numel() >= MIN_WEIGHTS and all(size % self.divisor == 0 for size in weight.shape)


class Blocks(Products):
    """The weights in blocks, as a batch of smaller products: for processors with AVX2 (docs/benchmarks.md)."""

    max_batch = 128
    divisor = NUM_GRADIENT_BLOCKS

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Multiply blocks of rows."""
        blocks = weight.view(NUM_BLOCKS, -1, weight.shape[1])
        return torch.bmm(blocks, x.t().expand(NUM_BLOCKS, -1, -1)).view(len(weight), len(x)).t().contiguous()

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Multiply blocks of columns."""
        blocks = weight.view(len(weight), NUM_BLOCKS, -1).permute(1, 0, 2)
        found = torch.bmm(gradient.expand(NUM_BLOCKS, -1, -1), blocks)
        return found.permute(1, 0, 2).reshape(len(gradient), -1)

    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Make blocks of rows, where the batch is so small that it pays."""
        if len(x) > MAX_GRADIENT_BATCH:
            return gradient.t() @ x
        blocks = gradient.t().reshape(NUM_GRADIENT_BLOCKS, -1, len(x))
        return torch.bmm(blocks, x.expand(NUM_GRADIENT_BLOCKS, -1, -1)).view(-1, x.shape[1])


class Pictures(Products):
    """The weights as a picture of one column with I channels, and the batch as the filter: oneDNN on AVX-512.

    The view costs no copy; oneDNN's convolutions of 1x1 are products that read the weights once.
    """

    max_batch = 32
    divisor = 16

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve the weights with N filters of 1x1."""
        return F.conv2d(_as_picture(weight), x[:, :, None, None]).view(len(x), -1)

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """Take the gradient of those filters."""
        shape = (len(gradient), weight.shape[1], 1, 1)
        gradients = gradient.view(1, *gradient.shape, 1)
        found: Tensor = conv2d_weight(_as_picture(weight), shape, gradients)  # type: ignore[no-untyped-call]
        return found.view(shape[:2])

    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        """Convolve the gradient, as a picture with N channels, with I filters."""
        found = F.conv2d(_as_picture(gradient.t().contiguous()), x.t().contiguous()[:, :, None, None])
        return found.view(x.shape[1], -1).t()


def _as_picture(matrix: Tensor) -> Tensor:
    """View ``[O, I]`` as ``[1, I, O, 1]``, its channels last in memory."""
    rows, columns = matrix.shape
    return matrix.as_strided((1, columns, rows, 1), (rows * columns, 1, columns, columns))


PRODUCTS: dict[str, Products] = {"blocks": Blocks(), "pictures": Pictures()}


class _Linear(torch.autograd.Function):
    """A linear layer by given products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, products: Products) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.products = products
        found = products.forward(x, weight)
        return found if bias is None else found.add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            ctx.products.input_gradient(gradient, weight) if of_x else None,
            ctx.products.weight_gradient(gradient, x) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
        )


class FastLinear(TorchFunctionMode):
    """While this context is entered, :func:`torch.nn.functional.linear` takes the products that fit it.

    The layers stay what they are. Large layers stay in fp32 under autocast: their weights would have to be read and
    written once more to be converted.
    """

    def __init__(self, products: Products) -> None:
        super().__init__()
        self._products = products

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a linear layer here, or have torch do whatever it is."""
        if func is F.linear:
            return self._linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        if not self._products.is_large(weight):
            return F.linear(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            x = input.float()
            if self._products.fits(x, weight):
                return _Linear.apply(x, weight, bias, self._products)  # type: ignore[no-any-return]
            return F.linear(x, weight, bias)
