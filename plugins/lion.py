"""Lion: X. Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023; computed by timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import benchbench as bb

if TYPE_CHECKING:
    import torch
    from torch import nn

Beta = Annotated[float, Field(ge=0, lt=1)]


class Lion(bb.Optimizer, name="lion"):
    """Steps along the sign of a running mean of the gradients.

    Use a learning rate 3 to 10 times smaller than for AdamW, and more weight decay.
    """

    lr: float = bb.param(0.0001, "learning rate", gt=0)
    betas: tuple[Beta, Beta] = bb.param((0.9, 0.99), "weight of the mean in a step, and decay of the mean")
    weight_decay: float = bb.param(0.0, "fraction of a weight subtracted at each step, times the learning rate", ge=0)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return timm's Lion over all parameters that train."""
        from timm.optim.lion import Lion as TimmLion

        optimizer: torch.optim.Optimizer = TimmLion(
            bb.trainable_parameters(model), lr=self.lr, betas=self.betas, weight_decay=self.weight_decay
        )
        return optimizer


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer Lion."""
    return [Lion]
