"""Offers an optimizer as a model."""

import torch
from torch import nn

import benchbench as bb


class Rule(bb.Optimizer, name="rule"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Optimizer]]:
    return [Rule]
