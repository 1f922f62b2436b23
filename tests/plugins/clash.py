"""A model with the name of a shipped one, and an optimizer that nobody else offers."""

import torch
from torch import nn

import benchbench as bb


class Impostor(bb.Model, name="alexnet"):
    """Not AlexNet."""

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Linear(data.num_inputs, data.num_classes)


class Bystander(bb.Optimizer, name="bystander"):
    """Innocent."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.01)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Impostor]


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    return [Bystander]
