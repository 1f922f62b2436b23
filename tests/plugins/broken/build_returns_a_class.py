"""Returns a class and builds nothing."""

from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Linear  # type: ignore[return-value]


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
