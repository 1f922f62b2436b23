"""RMSprop: T. Tieleman and G. Hinton, "Lecture 6.5", Coursera: Neural Networks for Machine Learning, 2012."""

from __future__ import annotations

import torch
from torch import nn

import benchbench as bb


class RMSprop(bb.Optimizer, name="rmsprop"):
    """Gradients divided by a running mean of their size, with torch's defaults."""

    lr: float = bb.param(0.01, "learning rate", gt=0)
    alpha: float = bb.param(0.99, "decay of the running mean of the gradient's square", ge=0, lt=1)
    eps: float = bb.param(1e-8, "added to the denominator", gt=0)
    momentum: float = bb.param(0.0, "fraction of the last step that is kept in the next", ge=0, lt=1)
    weight_decay: float = bb.param(0.0, "L2 penalty added to the gradient", ge=0)
    centered: bool = bb.param(False, "divide by the estimated variance of the gradient")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return :class:`torch.optim.RMSprop` over all parameters that train."""
        return torch.optim.RMSprop(
            bb.trainable_parameters(model),
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            centered=self.centered,
        )


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer RMSprop."""
    return [RMSprop]
