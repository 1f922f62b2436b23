"""Optimizers that update all weights in one pass over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.accelerate.linear import Products

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Have a fused step on CPUs and CUDA: torch 2.6, "torch.optim", Algorithms. Their subclasses may compute otherwise."""


def fuse(optimizer: Optimizer, device: torch.device) -> bool:
    """Let an optimizer take its steps fused, and tell whether it does.

    It stays as it was built where its author chose an implementation, and for weights that are not plain floats.
    The state is the same either way.
    """
    groups = optimizer.param_groups
    weights = [weight for group in groups for weight in group["params"]]
    is_open = all(
        group.get("fused") is None and group.get("foreach") is None and not group.get("differentiable")
        for group in groups
    )
    is_plain = all(weight.is_floating_point() and not weight.is_sparse for weight in weights)
    if type(optimizer) not in FUSED or device.type not in ("cpu", "cuda") or not (is_open and is_plain):
        return False
    for group in groups:
        group.update(fused=True, foreach=False)
    return True


def fuse_even_steps(optimizer: Optimizer) -> None:
    """Have a fused optimizer's steps fused only where the momentum of all weights begins at once: torch has no other.

    It is asked for last, after what may still make gradients when a step begins.
    """
    if isinstance(optimizer, torch.optim.SGD):
        optimizer.register_step_pre_hook(_fuse_if_even)


def _fuse_if_even(optimizer: Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        has_momentum = {optimizer.state.get(weight, {}).get("momentum_buffer") is not None for weight in weights}
        group["fused"] = not group["momentum"] or len(has_momentum) <= 1


class InPlaceSGD:
    """Steps of SGD on large weights whose gradients are never made: products are added to the momentum at once.

    The gradient of a linear layer is ``gradient.T @ x``, of the output's gradient ``[N, O]`` and the input ``[N, I]``;
    both are kept until the optimizer steps. So ``[O, I]`` numbers are neither written nor read again, nor need memory.
    Momentum and weights are those of :class:`torch.optim.SGD` but for rounding; the state has the same names.
    """

    def __init__(self, optimizer: torch.optim.SGD, products: Products, weights: Collection[Tensor]) -> None:
        self._products = products
        self._ids = {id(weight) for weight in weights}
        self._kept: dict[int, list[tuple[Tensor, Tensor]]] = {}
        optimizer.register_step_pre_hook(self._make_what_is_usual)
        optimizer.register_step_post_hook(self._step)

    @staticmethod
    def fits(optimizer: Optimizer) -> TypeGuard[torch.optim.SGD]:
        """Tell whether these are the steps of an optimizer: Nesterov's and hooks need the gradient itself."""
        is_hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks  # noqa: SLF001 - the only way to ask
        return (
            type(optimizer) is torch.optim.SGD
            and not is_hooked
            and not any(group["nesterov"] or group["maximize"] for group in optimizer.param_groups)
        )

    def takes(self, weight: Tensor) -> bool:
        """Tell whether the gradient of a weight may be left to this."""
        return torch.is_grad_enabled() and id(weight) in self._ids and not _has_hooks(weight)

    def keep(self, weight: Tensor, gradient: Tensor, x: Tensor) -> None:
        """Keep the factors of a gradient for the next step."""
        self._kept.setdefault(id(weight), []).append((gradient, x))

    def drop(self) -> None:
        """Forget what no step took, as ``zero_grad`` does."""
        self._kept.clear()

    def _make_what_is_usual(self, optimizer: Optimizer, *_: Any) -> None:
        """Make the gradients of weights that were used more than once."""
        for _group, weight in self._weights(optimizer):
            kept = self._kept[id(weight)]
            if len(kept) == 1 and weight.grad is None:
                continue
            for gradient, x in self._kept.pop(id(weight)):
                found = self._products.weight_gradient(gradient, x)
                weight.grad = found if weight.grad is None else weight.grad.add_(found)

    @torch.no_grad()
    def _step(self, optimizer: Optimizer, *_: Any) -> None:
        for group, weight in self._weights(optimizer):
            ((gradient, x),) = self._kept.pop(id(weight))
            lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
            if not momentum:
                self._products.add_weight_gradient(weight, gradient, x, beta=1 - lr * decay, alpha=-lr)
                continue
            state = optimizer.state[weight]
            buffer = state.get("momentum_buffer")
            beta, alpha = momentum, 1 - group["dampening"]
            if buffer is None:
                buffer = state["momentum_buffer"] = torch.empty_like(weight)
                beta, alpha = 0, 1
            self._products.add_weight_gradient(buffer, gradient, x, beta=beta, alpha=alpha)
            if decay:
                buffer.add_(weight, alpha=alpha * decay)
            weight.add_(buffer, alpha=-lr)

    def _weights(self, optimizer: Optimizer) -> list[tuple[dict[str, Any], Tensor]]:
        """Return the weights whose gradients are kept, each with its group."""
        return [
            (group, weight)
            for group in optimizer.param_groups
            for weight in group["params"]
            if id(weight) in self._kept
        ]


def _has_hooks(weight: Tensor) -> bool:
    """Tell whether somebody has asked to see the gradient (``register_hook`` and its like)."""
    return bool(getattr(weight, "_backward_hooks", None) or getattr(weight, "_post_accumulate_grad_hooks", None))
