"""A linear layer in torch's autograd, computed by products of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchbench.worker.accelerate.factored import FactoredGradient, Factors

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.worker.accelerate.products import Products


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, products: Products, *, factored: bool = False) -> Tensor:
    """Return :func:`torch.nn.functional.linear` of ``[N, I]`` by these products.

    If ``factored``, the gradient of the weight is a :class:`FactoredGradient`.
    """
    return _Linear.apply(x, weight, bias, products, factored)  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, products: Products, factored: bool) -> Tensor:  # noqa: FBT001 - apply() has no keywords
        ctx.save_for_backward(x, weight)
        ctx.products, ctx.factored = products, factored
        outputs = products.forward(x, weight)
        return outputs if bias is None else outputs.add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        return (
            ctx.products.input_gradient(gradient, weight) if of_x else None,
            _weight_gradient(ctx, gradient, x) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
            None,
        )


def _weight_gradient(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
    # With a graph of the backward pass (create_graph=True), the product has to be part of it.
    if ctx.factored and not torch.is_grad_enabled():
        return FactoredGradient(Factors(ctx.products, gradient, x))
    return ctx.products.weight_gradient(gradient, x)  # type: ignore[no-any-return]
