"""Gradients of a layer, and how far numbers are from exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


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
