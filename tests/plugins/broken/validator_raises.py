"""Has a rule for a parameter that fails."""

from pydantic import field_validator
from torch import nn

import benchbench as bb


class Net(bb.Model, name="net"):
    width: int = bb.param(0, "units")

    @field_validator("width")
    @classmethod
    def _check(cls, value: int) -> int:
        return 12 // value

    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
