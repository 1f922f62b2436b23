"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import torch
from torch import nn

import benchbench as bb


class SGD(bb.Optimizer, name="sgd"):
    """Stochastic gradient descent, with the paper's best learning rate and momentum as defaults."""

    lr: float = bb.param(0.001, "learning rate", gt=0)
    momentum: float = bb.param(0.9, "fraction of the last step that is kept in the next", ge=0, lt=1)
    weight_decay: float = bb.param(0.0, "L2 penalty added to the gradient", ge=0)
    nesterov: bool = bb.param(False, "use Nesterov momentum; needs a momentum above 0")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return :class:`torch.optim.SGD` over all parameters that train."""
        if self.nesterov and self.momentum == 0:
            raise bb.SpecError("sgd: nesterov needs a momentum above 0", hint="--momentum 0.9")
        return torch.optim.SGD(
            bb.trainable_parameters(model),
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer SGD."""
    return [SGD]
