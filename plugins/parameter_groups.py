"""The parameters of a model in groups, for the optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import benchbench as bb

if TYPE_CHECKING:
    from torch import nn


def with_decay(model: nn.Module, weight_decay: float, *, decay: Literal["all", "matrices"]) -> list[dict[str, Any]]:
    """Return the parameters that train: in one group, or matrices and kernels with decay and the others without."""
    parameters = bb.trainable_parameters(model)
    if decay == "all":
        return [{"params": parameters, "weight_decay": weight_decay}]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
