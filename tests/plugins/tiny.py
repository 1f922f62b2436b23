"""A small perceptron: the least that a model plugin can be."""

from torch import nn

import benchbench as bb


class Tiny(bb.Model, name="tiny"):
    """Two-layer perceptron on flattened pixels."""

    width: int = bb.param(64, "units in the hidden layer", ge=1)

    def build(self, data: bb.DataSpec) -> nn.Module:
        hidden = nn.Linear(data.num_inputs, self.width)
        return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(self.width, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Tiny]
