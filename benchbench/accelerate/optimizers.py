"""Optimizers that update all weights in one pass over memory."""

from __future__ import annotations

import torch

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Have a fused step on CPUs and CUDA: torch 2.6, "torch.optim", Algorithms. Their subclasses may compute otherwise."""


def fuse(optimizer: torch.optim.Optimizer, device: torch.device) -> bool:
    """Let an optimizer take its steps fused, and tell whether it does.

    It stays as it was built where its author chose an implementation, and for weights that are not plain floats.
    The state is the same either way.
    """
    groups = optimizer.param_groups
    weights = [weight for group in groups for weight in group["params"]]
    is_open = all(
        group.get("fused") is None and group.get("foreach") is None and not group.get("differentiable")
        for group in groups
    )
    is_plain = all(weight.is_floating_point() and not weight.is_sparse for weight in weights)
    if type(optimizer) not in FUSED or device.type not in ("cpu", "cuda") or not (is_open and is_plain):
        return False
    for group in groups:
        group.update(fused=True, foreach=False)
    return True
