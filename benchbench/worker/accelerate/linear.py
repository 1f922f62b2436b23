"""Large linear layers, computed by products of our own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from benchbench.worker.accelerate.lazy_gradient import FactoredGradient, Factors
from benchbench.worker.accelerate.lever import Lever, plain_weights
from benchbench.worker.accelerate.linear_products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers
    from benchbench.worker.accelerate.linear_products import Products

PRODUCTS_BY_INSTRUCTIONS = {"AMX": "images", "AVX512": "images", "AVX2": "blocks"}
"""Which products are faster than torch's own, by the instructions of the processor."""


@dataclass(frozen=True)
class LinearProducts(Lever):
    """Products of large linear layers that read their weights as fast as memory gives them."""

    name: str
    only_with: str = ""
    fact = "linear"

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """On processors, by the products that their instructions suit, unless the model is compiled.

        On processors with AMX, torch's own products in fp32 are 5 % faster than these. But steps in place need these,
        and gain more than that.
        """
        name = PRODUCTS_BY_INSTRUCTIONS.get(target.instructions)
        is_slower = target.instructions == "AMX" and target.precision == "fp32"
        if name is None or target.device_type != "cpu" or target.is_compiled:
            return None
        return cls(name, only_with="in place" if is_slower else "")

    @classmethod
    def recorded(cls, facts: Mapping[str, str]) -> Self | None:
        """Return the products that a record names."""
        return cls(facts[cls.fact]) if facts[cls.fact] in PRODUCTS else None

    def fits(self, case: Case) -> bool:
        """Tell whether full batches of any layer are computed by these products."""
        return bool(large_weights(case, self.name))

    def apply(self, case: Case, layers: Layers) -> Layers:  # noqa: ARG002 - the same for all levers
        """Compute large layers by these products."""
        return replace(layers, products=PRODUCTS[self.name])


def large_weights(case: Case, products: str) -> list[Tensor]:
    """Return the weights of linear layers that these products are for."""
    chosen = PRODUCTS[products]
    if not 1 < case.batch_size <= chosen.max_batch:
        return []
    return [weight for weight in plain_weights(case.model, (nn.Linear,)) if chosen.is_large(weight)]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, products: Products, *, factored: bool = False) -> Tensor:
    """Return :func:`torch.nn.functional.linear` of ``[N, I]`` by these products.

    If ``factored``, the gradient of the weight is a :class:`FactoredGradient`.
    """
    return _Linear.apply(x, weight, bias, products, factored)  # type: ignore[no-any-return]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, products: Products, factored: bool) -> Tensor:  # noqa: FBT001 - apply() has no keywords
        # Twice: a model may exchange the numbers of a weight for this call (``weight.data = ...``), which torch's own
        # gradient does not follow; a second derivative needs the weight itself.
        ctx.save_for_backward(x, weight, weight.detach())
        ctx.products, ctx.factored = products, factored
        outputs = products.forward(x, weight)
        return outputs if bias is None else outputs.add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, numbers = ctx.saved_tensors
        if torch.is_grad_enabled():
            numbers = weight
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        return (
            _input_gradient(ctx, gradient, numbers) if of_x else None,
            _weight_gradient(ctx, gradient, x) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
            None,
        )


def _is_batched(gradient: Tensor) -> bool:
    """Tell whether these are many gradients at once (``is_grads_batched=True``), which our products do not support."""
    functions = torch._C._functorch  # noqa: SLF001 - nothing public tells
    return functions.is_batchedtensor(gradient) or functions.is_legacy_batchedtensor(gradient)


def _input_gradient(ctx: Any, gradient: Tensor, weight: Tensor) -> Tensor:
    return gradient @ weight if _is_batched(gradient) else ctx.products.input_gradient(gradient, weight)


def _weight_gradient(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
    if _is_batched(gradient):
        return gradient.t() @ x
    # With a graph of the backward pass (create_graph=True), the product has to be part of it.
    if ctx.factored and not torch.is_grad_enabled():
        return FactoredGradient(Factors(ctx.products, gradient, x))
    return ctx.products.weight_gradient(gradient, x)  # type: ignore[no-any-return]
