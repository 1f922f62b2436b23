"""Adam: D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2014."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

import benchbench as bb

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(bb.Optimizer, name="adam"):
    """Adam, with the paper's defaults; weight decay is an L2 penalty, as in the original."""

    lr: float = bb.param(0.001, "learning rate", gt=0)
    betas: tuple[Beta, Beta] = bb.param((0.9, 0.999), "decay of the running means of the gradient and of its square")
    eps: float = bb.param(1e-8, "added to the denominator", gt=0)
    weight_decay: float = bb.param(0.0, "L2 penalty added to the gradient", ge=0)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return :class:`torch.optim.Adam` over all parameters that train."""
        return torch.optim.Adam(
            bb.trainable_parameters(model), lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay
        )


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer Adam."""
    return [Adam]
