"""AdamW: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from benchbench_plugins.parameter_groups import with_decay
from pydantic import Field
from torch import nn

import benchbench as bb

Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(bb.Optimizer, name="adamw"):
    """Adam with decoupled weight decay, with torch's defaults."""

    lr: float = bb.param(0.001, "learning rate", gt=0)
    betas: tuple[Beta, Beta] = bb.param((0.9, 0.999), "decay of the running means of the gradient and of its square")
    eps: float = bb.param(1e-8, "added to the denominator", gt=0)
    weight_decay: float = bb.param(0.01, "fraction of a weight subtracted at each step, times the learning rate", ge=0)
    decay: Literal["all", "matrices"] = bb.param("all", "what decays; matrices: all but biases and normalization")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return :class:`torch.optim.AdamW` over all parameters that train."""
        groups = with_decay(model, self.weight_decay, decay=self.decay)
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay)


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer AdamW."""
    return [AdamW]
