"""The base class of optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.plugin.base import Plugin

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Plugin):
    """A rule that updates the parameters from their gradients."""

    kind: ClassVar[str] = "optimizer"

    def build(self, model: nn.Module) -> TorchOptimizer:
        """Return a torch optimizer of the model's parameters, in groups if need be."""
        raise NotImplementedError
