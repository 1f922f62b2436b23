"""The moving average of a network's weights, which often generalises better than the network that is trained."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING

import torch

from benchbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


class Average:
    """An exponential moving average of all weights and running statistics, from the initial weights on.

    After each step it is ``decay * average + (1 - decay) * weights``. Counters are copied.
    ``model`` is the averaged network; it is evaluated, and never trained.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = _copied(model).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights after a step into the average."""
        averages, values = _tensors(self.model), _tensors(model)
        pairs = list(zip(averages, values, strict=True))
        means = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in means], [value for _, value in means], 1 - self._decay)
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)


def _tensors(model: nn.Module) -> Iterable[Tensor]:
    tensors = chain(model.parameters(), model.buffers())
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors)


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            f"ema_decay needs a copy of the network, which cannot be copied: {error}", hint="leave ema_decay out"
        ) from error
