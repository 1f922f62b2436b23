"""The base class of optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.errors import SpecError
from benchbench.plugin.base import Plugin, param

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Plugin):
    """A rule that updates the parameters from their gradients.

    Gradients are clipped by the training loop, before each step, so that every optimizer has ``clip_norm``.
    """

    kind: ClassVar[str] = "optimizer"

    clip_norm: float | None = param(None, "clip the global norm of the gradients to this value", gt=0)

    def build(self, model: nn.Module) -> TorchOptimizer:
        """Return a torch optimizer of the model's parameters, in groups if need be.

        Some parameters may be frozen (``requires_grad`` is false): :func:`trainable_parameters` returns the others.
        """
        raise NotImplementedError


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a model that are not frozen.

    Raises :class:`~benchbench.errors.SpecError` if there is none.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise SpecError("the model has no parameter to train", hint="all of its parameters are frozen, or it has none")
    return parameters
