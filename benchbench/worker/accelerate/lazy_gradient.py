"""The gradient of a large linear layer's weight as its two factors: it is only computed if something reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchbench.worker.accelerate.linear_products import Products


class Factors:
    """The gradient of the output ``[N, O]`` and the input ``[N, I]``, whose product is a gradient ``[O, I]``.

    Both are copies: a model may go on to change its activations in place.
    """

    def __init__(self, products: Products, gradient: Tensor, x: Tensor) -> None:
        self.gradient, self.x = gradient.detach().clone(), x.detach().clone()
        self._products = products
        self._product: Tensor | None = None

    @property
    def is_computed(self) -> bool:
        """Whether somebody has looked at the product, and may have changed it."""
        return self._product is not None

    @property
    def num_rows(self) -> int:
        """The number of rows O."""
        return self.gradient.shape[1]

    def rows(self, num_rows: int) -> Factors:
        """Return the factors of the first rows, which nobody has looked at."""
        return Factors(self._products, self.gradient[:, :num_rows], self.x)

    @torch.no_grad()
    def product(self) -> Tensor:
        """Return the gradient ``[O, I]``, always the same tensor."""
        if self._product is None:
            self._product = self._products.weight_gradient(self.gradient, self.x)
        return self._product


class FactoredGradient(Tensor):
    """A gradient that is computed at the first operation on it, whatever that is and whoever asks for it.

    A wrapper subclass ("Extending PyTorch" in torch's documentation): it has a shape but no memory, and torch hands it
    every operation. Hooks, clipping, accumulation over batches and optimizers of any kind see an ordinary gradient.
    """

    factors: Factors

    @staticmethod
    def __new__(cls: type[Self], factors: Factors) -> Self:
        """Return a tensor without memory."""
        shape = (factors.num_rows, factors.x.shape[1])
        gradient = factors.gradient
        # The one way to make such a tensor, though it is called private.
        wrapper: Self = Tensor._make_wrapper_subclass(cls, shape, dtype=gradient.dtype, device=gradient.device)  # noqa: SLF001
        wrapper.factors = factors
        return wrapper

    def __init__(self, factors: Factors) -> None:
        """Do nothing more: tensors are made by ``__new__``."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Return a copy of the gradient itself."""
        return self.factors.product().clone()

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute the gradient for whatever Python code does with it."""
        return func(*_computed(args), **_computed(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch's stub has no class method
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute the gradient for torch's own code, except where backward puts it into ``weight.grad``."""
        if func is torch.ops.aten.detach.default:
            return cls(args[0].factors)
        return func(*_computed(args), **_computed(kwargs or {}))


def _computed(values: Any) -> Any:
    """Return the arguments of an operation with ordinary tensors in place of factored gradients."""
    return tree_map_only(FactoredGradient, lambda gradient: gradient.factors.product(), values)
