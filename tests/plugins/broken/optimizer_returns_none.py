"""Forgets to return the optimizer."""

import torch
from torch import nn

import benchbench as bb


class Rule(bb.Optimizer, name="rule"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        torch.optim.SGD(model.parameters(), lr=0.1)  # type: ignore[return]


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    return [Rule]
