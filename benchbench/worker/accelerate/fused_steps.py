"""Optimizers that update all weights in one pass over memory, whenever torch's own step would do the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.optim import Optimizer

from benchbench.worker.accelerate.lever import Lever

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Have a fused step on CPUs and CUDA: torch 2.6, "torch.optim", Algorithms. Their subclasses may compute otherwise."""


@dataclass(frozen=True)
class FusedSteps(Lever):
    """Steps of the optimizer that read and write weights and states once."""

    fact = "optimizer"
    plain = "as built"
    name = "fused"

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """On processors and CUDA."""
        return cls() if target.device_type in ("cpu", "cuda") else None

    @classmethod
    def recorded(cls, facts: Mapping[str, str]) -> Self | None:
        """Return this lever if steps were fused, or better than that."""
        return None if facts[cls.fact] == cls.plain else cls()

    def fits(self, case: Case) -> bool:
        """Tell whether the optimizer has fused steps."""
        return can_fuse(case.optimizer)

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Have all steps fused that can be."""
        fuse(case.optimizer)
        return layers


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
    return type(optimizer) in FUSED and is_open and all(map(_is_plain, weights_of(optimizer)))


def keep_implementation(optimizer: Optimizer) -> None:
    """Keep an optimizer's implementation of a step even if a state is loaded that was saved with another."""

    def adapt(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        groups = [
            saved | {key: group[key] for key in ("fused", "foreach") if key in group}
            for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=False)
        ]
        # If the number of groups differs, torch raises.
        return state | {"param_groups": groups + state["param_groups"][len(groups) :]}

    # A wrapper that never called Optimizer.__init__, such as timm's Lookahead, has no such hooks, and no lever either.
    if hasattr(optimizer, "_optimizer_load_state_dict_pre_hooks"):
        optimizer.register_load_state_dict_pre_hook(adapt)


Update = Callable[[Optimizer, dict[str, Any], bool], list[tuple[torch.Tensor, torch.Tensor]]]
"""Updates some weights of a group before its step, if that is a plain one: returns those, each with its gradient."""


def fuse(optimizer: Optimizer, update: Update = lambda *_: []) -> None:
    """Have an optimizer take its steps fused, but for weights that ``update`` takes care of."""
    steps = _Steps(update)
    for group in optimizer.param_groups:
        group.update(fused=True, foreach=False)
    optimizer.register_step_pre_hook(steps.before)
    optimizer.register_step_post_hook(steps.after)


class _Steps:
    """Fused steps of an optimizer.

    A step is torch's own if it is not the plain one: if it has a closure, if another hook sees the gradients later
    than this, and for a group whose gradients and states do not lie in memory as its weights do.
    """

    def __init__(self, update: Update) -> None:
        self._update = update
        self._updated: list[tuple[Tensor, Tensor]] = []

    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Update some weights, hide their gradients, and say which groups torch's own step takes fused."""
        has_closure = any(value is not None for value in (*args[1:], *kwargs.values()))
        is_plain = not has_closure and _last_hook(optimizer) == self.before
        for group in optimizer.param_groups:
            for weight, gradient in self._update(optimizer, group, is_plain):
                self._updated.append((weight, gradient))
                weight.grad = None
            group["fused"] = is_plain and _have_same_layouts(optimizer, group)

    def after(self, *_: Any) -> None:
        """Give back the gradients that torch's own step must not see."""
        for weight, gradient in self._updated:
            weight.grad = gradient
        self._updated.clear()


def weights_of(optimizer: Optimizer) -> list[Tensor]:
    """Return all weights that an optimizer updates."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _is_plain(weight: Tensor) -> bool:
    """Tell whether a weight is a dense block of floats in memory, in any order of its dimensions."""
    if type(weight) not in (torch.Tensor, nn.Parameter) or weight.layout is not torch.strided:
        return False
    order = sorted(range(weight.ndim), key=weight.stride, reverse=True)
    return weight.is_floating_point() and weight.permute(order).is_contiguous()


def _last_hook(optimizer: Optimizer) -> object:
    return next(reversed(optimizer._optimizer_step_pre_hooks.values()))  # noqa: SLF001 - the only way to ask


def _have_same_layouts(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Tell whether a fused step does what torch's step by step does.

    Gradients and states must lie in memory as their weights do, and the momentum of all weights must begin at once.
    """
    begun = set()
    for weight in group["params"]:
        if weight.grad is None:
            continue
        state = optimizer.state.get(weight, {})
        states = [value for key, value in state.items() if key != "step" and value is not None]
        if isinstance(state.get("step"), torch.Tensor):
            # Adam's own steps count on the CPU, where a fused step on a GPU would not find the number.
            state["step"] = state["step"].to(weight.device)
        if not all(has_layout_of(other, weight) for other in (weight.grad, *states)):
            return False
        begun.add(state.get("momentum_buffer") is not None)
    return len(begun) <= 1 or not group.get("momentum")


def has_layout_of(other: Tensor, weight: Tensor) -> bool:
    """Tell whether two tensors have their numbers in the same order in memory."""
    if other.layout is not torch.strided or other.dtype != weight.dtype or other.shape != weight.shape:
        return False
    if other.stride() == weight.stride():
        return True
    # The stride of a single row or column says nothing.
    strides = zip(weight.shape, other.stride(), weight.stride(), strict=True)
    return all(size == 1 or left == right for size, left, right in strides)
