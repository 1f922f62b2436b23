"""The best network of a trial so far, for trials that end with it instead of the last one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from benchbench.records.events import WORST_RANK, rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from benchbench.records.events import Epoch


class BestWeights:
    """The weights with the best validation accuracy; ties go to the lower loss, then to the earlier epoch.

    They are kept in the CPU's memory.
    """

    def __init__(self) -> None:
        self.epoch: int | None = None
        self._rank = WORST_RANK
        self._weights: dict[str, Any] = {}

    def consider(self, epoch: Epoch, model: nn.Module) -> None:
        """Keep a copy of this network if it is better than the one before."""
        achieved = rank(epoch.val_accuracy, epoch.val_loss)
        if achieved > self._rank:
            self.epoch, self._rank = epoch.epoch, achieved
            self._weights = model.state_dict()  # of a type of torch's, which knows the version of each layer
            for name, value in self._weights.items():
                self._weights[name] = _copied(value)

    def restore(self, model: nn.Module) -> None:
        """Load the best weights into a network, if there are any yet."""
        if self._weights:
            model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"epoch": self.epoch, "rank": self._rank, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what a checkpoint kept."""
        self.epoch, self._rank, self._weights = state["epoch"], state["rank"], state["weights"]


def _copied(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else copy.deepcopy(value)
