"""Steps of SGD that never write the gradients of large linear layers.

Their weights are updated a few rows at a time, by torch's own fused step: the rows of a gradient are computed into
memory that is used again for the next, and so stays in the processor's cache. The state has torch's names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch

from benchbench.worker.accelerate.fused_steps import can_fuse, fuse, has_layout_of, weights_of
from benchbench.worker.accelerate.lazy_gradient import FactoredGradient
from benchbench.worker.accelerate.lever import Lever, alone_in_memory
from benchbench.worker.accelerate.linear import LinearProducts, large_weights
from benchbench.worker.accelerate.linear_products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers
    from benchbench.worker.accelerate.linear_products import Products

BLOCK_NUMBERS = 2**21
"""8 MB: fewer take more calls, and more do not stay in the cache."""

MIN_BLOCKS = 2
"""Of each weight, so that a proof, which steps only some rows, goes from one block to the next as well."""


@dataclass(frozen=True)
class StepsInPlace(Lever):
    """Fused steps that never write the gradients of large linear layers: a few rows at a time are computed and used."""

    products: str
    fact = "optimizer"
    plain = "as built"
    needs = "linear"
    name = "in place"

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """Wherever large linear layers are computed by products of our own."""
        linear = LinearProducts.for_target(target)
        return None if linear is None else cls(linear.name)

    @classmethod
    def recorded(cls, facts: Mapping[str, str]) -> Self | None:
        """Return the steps that a record names, with its products."""
        return cls(facts[cls.needs]) if facts[cls.fact] == cls.name else None

    def fits(self, case: Case) -> bool:
        """Tell whether the optimizer needs no gradients of large weights."""
        is_open = can_fuse(case.optimizer) and _can_update_in_place(case.optimizer)
        return is_open and not case.reads_gradients and bool(self._weights(case))

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Leave the gradients of large weights to the steps."""
        fuse(case.optimizer, partial(_update, PRODUCTS[self.products]))
        return replace(layers, factored=tuple(self._weights(case)))

    def _weights(self, case: Case) -> list[Tensor]:
        return _own_weights(case.optimizer, large_weights(case, self.products))


def _can_update_in_place(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer has steps that need no whole gradient of a large weight; hooks may need it."""
    is_hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks  # noqa: SLF001 - the only way to ask
    return type(optimizer) is torch.optim.SGD and not is_hooked


def _own_weights(optimizer: Optimizer, weights: Iterable[Tensor]) -> list[Tensor]:
    """Return those of the weights that the optimizer updates and that share their memory with no other."""
    updated = weights_of(optimizer)
    own = alone_in_memory(updated, updated)
    return [weight for weight in weights if weight.is_leaf and any(weight is other for other in own)]


@torch.no_grad()
def _update(
    products: Products,
    optimizer: Optimizer,
    group: dict[str, Any],
    is_plain: bool,  # noqa: FBT001 - called by position
) -> list[tuple[Tensor, Tensor]]:
    """Take a step for weights with gradients that nobody has looked at, if it is a plain one; compute the others."""
    updated: list[tuple[Tensor, Tensor]] = []
    for weight in group["params"]:
        gradient, buffer = weight.grad, optimizer.state.get(weight, {}).get("momentum_buffer")
        if not isinstance(gradient, FactoredGradient):
            continue
        is_open = is_plain and not gradient.factors.is_computed
        if is_open and weight.is_contiguous() and (buffer is None or has_layout_of(buffer, weight)):
            _step(optimizer, group, weight, products)
            updated.append((weight, gradient))
        else:
            weight.grad = gradient.factors.product()
    return updated


def _step(optimizer: Optimizer, group: dict[str, Any], weight: Tensor, products: Products) -> None:
    """Take a step of SGD on one weight with a factored gradient."""
    gradient, x = weight.grad.factors.gradient, weight.grad.factors.x  # type: ignore[union-attr]
    has_momentum = bool(group["momentum"])
    buffer = optimizer.state[weight].get("momentum_buffer") if has_momentum else None
    is_first = has_momentum and buffer is None
    if is_first:
        buffer = optimizer.state[weight]["momentum_buffer"] = torch.empty_like(weight)
    num_rows = max(1, min(BLOCK_NUMBERS // weight.shape[1], len(weight) // MIN_BLOCKS))
    memory = weight.new_empty(num_rows, weight.shape[1])
    for start in range(0, len(weight), num_rows):
        rows = slice(start, start + num_rows)
        block = weight[rows]
        torch._fused_sgd_(
            [block],
            [products.weight_gradient_rows(gradient[:, rows], x, out=memory[: len(block)])],
            [] if buffer is None else [buffer[rows]],
            lr=float(group["lr"]),
            is_first_step=is_first,
            **{key: group[key] for key in ("momentum", "weight_decay", "dampening", "nesterov", "maximize")},
        )
