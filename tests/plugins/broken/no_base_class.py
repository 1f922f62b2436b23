"""Returns a module of torch, which is no plugin."""

from torch import nn

import benchbench as bb


class Net(nn.Module):
    pass


@bb.hookimpl
def benchbench_models() -> list[type[nn.Module]]:
    return [Net]
