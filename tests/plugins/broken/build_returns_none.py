"""Forgets to return the network."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    def build(self, data: bb.DataSpec) -> nn.Module:
        nn.Linear(data.num_inputs, data.num_classes)  # type: ignore[return]


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
