"""Has a parameter of a type that pydantic does not know."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    layer: nn.Linear = bb.param(None, "the layer to use")

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
