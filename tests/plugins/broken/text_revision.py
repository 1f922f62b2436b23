"""Has a revision that is no number."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net", revision="two"):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
