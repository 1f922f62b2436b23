"""Prints when it is imported, and offers a model all the same."""

import sys

from torch import nn

import benchbench as bb

print('{"catalog": "mine"}')
print("on standard error too", file=sys.stderr)


class Loud(bb.Model, name="loud"):
    """A model from a module that prints."""

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Loud]
