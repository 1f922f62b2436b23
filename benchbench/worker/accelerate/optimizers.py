"""Optimizers that update all weights in one pass over memory, whenever torch's own step would do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchbench.worker.accelerate.factored import FactoredGradient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.accelerate.products import Products

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Have a fused step on CPUs and CUDA: torch 2.6, "torch.optim", Algorithms. Their subclasses may compute otherwise."""


BLOCK_NUMBERS = 2**21
"""8 MB: fewer take more calls, and more do not stay in the cache."""


def can_fuse(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer has a fused step.

    It stays as it was built if its author chose an implementation, and for weights that are not plain floats: fused
    steps walk raw memory.
    """
    groups = optimizer.param_groups
    is_open = all(
        group.get("fused") is None and group.get("foreach") is None and not group.get("differentiable")
        for group in groups
    )
    return type(optimizer) in FUSED and is_open and all(map(_is_plain, _weights(optimizer)))


def can_update_in_place(optimizer: Optimizer) -> bool:
    """Tell whether an optimizer has steps that need no whole gradient of a large weight; hooks may need it."""
    is_hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks  # noqa: SLF001 - the only way to ask
    return type(optimizer) is torch.optim.SGD and not is_hooked


def own_weights(optimizer: Optimizer, weights: Iterable[Tensor]) -> list[Tensor]:
    """Return those of the weights that the optimizer updates and that share their memory with no other."""
    updated = _weights(optimizer)
    # Not by their addresses, which whoever asks for may write to: memory that is copied on write would be copied.
    storages = [weight.untyped_storage()._cdata for weight in updated]  # noqa: SLF001 - nothing public tells
    own = [weight for weight, storage in zip(updated, storages, strict=True) if storages.count(storage) == 1]
    return [weight for weight in weights if weight.is_leaf and any(weight is other for other in own)]


def keep_implementation(optimizer: Optimizer) -> None:
    """Have an optimizer take its steps as it does now after a state was loaded into it, whatever took them before."""

    def adapt(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        groups = [
            saved | {key: group[key] for key in ("fused", "foreach") if key in group}
            for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=False)
        ]
        # Of another number of groups torch complains itself.
        return state | {"param_groups": groups + state["param_groups"][len(groups) :]}

    optimizer.register_load_state_dict_pre_hook(adapt)


def fuse(optimizer: Optimizer, products: Products | None = None) -> None:
    """Have an optimizer take its steps fused; with products, in place on large weights with factored gradients."""
    steps = _Steps(products)
    for group in optimizer.param_groups:
        group.update(fused=True, foreach=False)
    optimizer.register_step_pre_hook(steps.before)
    optimizer.register_step_post_hook(steps.after)


class _Steps:
    """Fused steps of an optimizer, and in-place steps on large weights whose gradients nobody has looked at.

    A step is torch's own if it is not the plain one: if it has a closure, if another hook sees the gradients later
    than this, and for a group whose gradients and states do not lie in memory as its weights do.

    In place, weights are updated a few rows at a time, by torch's own fused step: the rows of a gradient are computed
    into memory that is used again for the next, and so stays in the processor's cache. The state has the same names.
    """

    def __init__(self, products: Products | None) -> None:
        self._products = products
        self._updated: list[tuple[Tensor, Tensor]] = []

    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Do what is done in place, and say which groups torch's own step takes fused."""
        has_closure = any(value is not None for value in (*args[1:], *kwargs.values()))
        is_plain = not has_closure and _last_hook(optimizer) == self.before
        for group in optimizer.param_groups:
            if is_plain and self._products is not None:
                self._update_in_place(optimizer, group, self._products)
            for weight in group["params"]:
                if isinstance(weight.grad, FactoredGradient):
                    weight.grad = weight.grad.factors.product()
            group["fused"] = is_plain and _lie_alike(optimizer, group)

    def after(self, *_: Any) -> None:
        """Give back the gradients that torch's own step must not see."""
        for weight, gradient in self._updated:
            weight.grad = gradient
        self._updated.clear()

    @torch.no_grad()
    def _update_in_place(self, optimizer: Optimizer, group: dict[str, Any], products: Products) -> None:
        for weight in group["params"]:
            gradient, buffer = weight.grad, optimizer.state.get(weight, {}).get("momentum_buffer")
            is_open = isinstance(gradient, FactoredGradient) and not gradient.factors.is_computed
            if is_open and weight.is_contiguous() and (buffer is None or _lies_as(buffer, weight)):
                _step(optimizer, group, weight, products)
                self._updated.append((weight, gradient))
                weight.grad = None


def _step(optimizer: Optimizer, group: dict[str, Any], weight: Tensor, products: Products) -> None:
    """Take a step of SGD on one weight with a factored gradient."""
    gradient, x = weight.grad.factors.gradient, weight.grad.factors.x  # type: ignore[union-attr]
    has_momentum = bool(group["momentum"])
    buffer = optimizer.state[weight].get("momentum_buffer") if has_momentum else None
    is_first = has_momentum and buffer is None
    if is_first:
        buffer = optimizer.state[weight]["momentum_buffer"] = torch.empty_like(weight)
    num_rows = max(1, BLOCK_NUMBERS // weight.shape[1])
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


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _is_plain(weight: Tensor) -> bool:
    """Tell whether a weight is a dense block of floats in memory, in any order of its dimensions."""
    if type(weight) not in (torch.Tensor, nn.Parameter) or weight.layout is not torch.strided:
        return False
    order = sorted(range(weight.ndim), key=weight.stride, reverse=True)
    return weight.is_floating_point() and weight.permute(order).is_contiguous()


def _last_hook(optimizer: Optimizer) -> object:
    return next(reversed(optimizer._optimizer_step_pre_hooks.values()))  # noqa: SLF001 - the only way to ask


def _lie_alike(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Tell whether a fused step does what torch's step by step does.

    Gradients and states must lie in memory as their weights do, and the momentum of all weights must begin at once.
    """
    begun = set()
    for weight in group["params"]:
        if weight.grad is None:
            continue
        state = optimizer.state.get(weight, {})
        states = [value for key, value in state.items() if key != "step" and value is not None]
        if not all(_lies_as(other, weight) for other in (weight.grad, *states)):
            return False
        begun.add(bool(states))
    return len(begun) <= 1 or not group.get("momentum")


def _lies_as(other: Tensor, weight: Tensor) -> bool:
    """Tell whether two tensors have their numbers in the same order in memory."""
    if other.layout is not torch.strided or other.dtype != weight.dtype or other.shape != weight.shape:
        return False
    if other.stride() == weight.stride():
        return True
    # The stride of a single row or column says nothing.
    strides = zip(weight.shape, other.stride(), weight.stride(), strict=True)
    return all(size == 1 or left == right for size, left, right in strides)
