"""Gradients of a layer and of a loss, and how far numbers are from exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

    import benchbench as bb


def gradients(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Return output, gradients of the parameters and, where it is asked for, of the input."""
    layer.zero_grad()
    x = x.detach().requires_grad_() if x.requires_grad else x
    output = layer(x)
    (output * torch.linspace(-1, 1, output.numel(), dtype=x.dtype).view_as(output)).sum().backward()
    found = [output.detach(), *(weight.grad for weight in layer.parameters()), x.grad]
    return [tensor.clone() for tensor in found if tensor is not None]


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the norm of the difference by the norm of what is exact."""
    found, exact = found.detach().double(), exact.detach().double()
    return float((found - exact).norm() / exact.norm())


def has_gradient_at_zero(loss: bb.Loss) -> bool:
    """Tell whether the gradient of a loss is finite for an image that is classified with certainty."""
    logits = torch.tensor([[50.0, 0.0]], requires_grad=True)
    loss.build(torch.tensor([0]), num_outputs=2)(logits, torch.tensor([0])).backward()
    return logits.grad is not None and bool(logits.grad.isfinite().all())
