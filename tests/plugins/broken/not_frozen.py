"""Can be changed after it was made."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net", frozen=False):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
