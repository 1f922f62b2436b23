"""Takes steps of an optimizer from given gradients, and compares those of two optimizers.

They are taken on some rows of each weight, since an optimizer treats all numbers alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchbench.worker.accelerate.fused_steps import FUSED
from benchbench.worker.accelerate.lazy_gradient import FactoredGradient, Factors
from benchbench.worker.accelerate.tolerances import ROUNDING, STEP_BOUND

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

MAX_STEPPED = 2**16
"""Numbers of a weight that the optimizer is tried on."""


class ProofError(Exception):
    """A step with levers differs from the one without them; the message says how."""


def outcome(
    optimizer: Optimizer, weights: dict[str, nn.Parameter], gradients: dict[str, Tensor | Factors], *, is_plain: bool
) -> dict[str, tuple[Tensor, Tensor]]:
    """Take two steps, and return each weight and state before and after them."""
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for _ in range(2):
        for name, weight in weights.items():
            weight.grad = _gradient(gradients[name], is_plain=is_plain)
        optimizer.step()
    after = {f"weight {name} after a step": (before[name], weight.detach()) for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            if isinstance(value, torch.Tensor):
                after[f"{key} of {name}"] = (torch.zeros_like(value), value)
    return after


def _gradient(gradient: Tensor | Factors, *, is_plain: bool) -> Tensor:
    """Return a copy of a gradient that a step may use up."""
    if not isinstance(gradient, Factors):
        return gradient.clone()
    factors = gradient.rows(gradient.num_rows)
    return factors.product() if is_plain else FactoredGradient(factors)


def check_outcomes(plain: dict[str, tuple[Tensor, Tensor]], accelerated: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Raise a :class:`ProofError` if two outcomes differ."""
    if plain.keys() != accelerated.keys():
        raise ProofError("the optimizer has another state")
    for name, (before, after) in plain.items():
        allowed = STEP_BOUND * norm(after - before) + ROUNDING * norm(after)
        difference = norm(accelerated[name][1] - after)
        if not difference <= allowed:
            raise ProofError(f"the {name} differs by {difference / (norm(after - before) or 1):.1e} of its change")


def copied_optimizer(optimizer: Optimizer, weights: dict[Any, Any]) -> Optimizer:
    """Return an optimizer of the same kind for other weights; SGD for a kind that has no fused steps."""
    if type(optimizer) not in FUSED:
        return torch.optim.SGD(list(weights.values()))
    groups = [
        group | {"params": [weights[weight] for weight in group["params"] if weight in weights]}
        for group in optimizer.param_groups
    ]
    kind: Any = type(optimizer)
    return kind([group for group in groups if group["params"]])  # type: ignore[no-any-return]


def some_rows(gradient: Tensor) -> Tensor | Factors:
    """Return as many rows of a gradient as are compared, still factored if it is."""
    if isinstance(gradient, FactoredGradient):
        factors = gradient.factors
        return factors.rows(max(32, MAX_STEPPED // factors.x.shape[1] // 32 * 32))
    gradient = gradient.detach() if gradient.layout is torch.strided else gradient.detach().to_dense()
    if gradient.numel() <= MAX_STEPPED:
        return gradient.clone()
    return gradient[: max(1, MAX_STEPPED // gradient[0].numel())].clone()


def rows_like(weight: Tensor, gradient: Tensor | Factors) -> Tensor:
    """Return as many rows of a weight as there are of its gradient."""
    if weight.ndim == 0:
        return weight.detach().clone()
    return weight.detach()[: gradient.num_rows if isinstance(gradient, Factors) else len(gradient)].clone()


def norm(tensor: Tensor) -> float:
    """Return the Euclidean norm."""
    return float(tensor.double().norm())
