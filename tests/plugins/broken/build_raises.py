"""Asks for a layer of a negative size."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Linear(data.num_inputs, -data.num_classes)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
