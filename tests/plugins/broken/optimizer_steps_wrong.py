"""Fails in the first step."""

import torch
from torch import nn

import benchbench as bb


class Steps(torch.optim.SGD):
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        raise RuntimeError("no step today")


class Rule(bb.Optimizer, name="rule"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return Steps(model.parameters(), lr=0.1)


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    return [Rule]
