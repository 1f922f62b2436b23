"""Forgets to return the logits."""

import torch
from torch import nn

import benchbench as bb


class Linear(nn.Module):
    def __init__(self, data: bb.DataSpec) -> None:
        super().__init__()
        self.layer = nn.Linear(data.num_inputs, data.num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.layer(images.flatten(1))  # type: ignore[return]


class Net(bb.Model, name="net"):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return Linear(data)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
