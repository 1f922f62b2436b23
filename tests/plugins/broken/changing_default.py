"""Has a default that grows whenever it is read."""

from pydantic import field_validator
from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    width: int = bb.param(1, "units")

    @field_validator("width")
    @classmethod
    def _grow(cls, value: int) -> int:
        return value + 1

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
