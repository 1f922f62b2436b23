"""Models that cannot be used, each for a reason of its own, but for one that has several."""

from torch import nn

import benchbench as bb


class _Linear(bb.Model):
    def build(self, data: bb.DataSpec) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(data.num_inputs, data.num_classes))


class BadDefault(_Linear, name="bad-default"):
    width: int = bb.param(0, "units", ge=1)


class NoDefault(_Linear, name="no-default"):
    width: int


class NoName(_Linear):
    pass


class BadName(_Linear, name="bad name"):
    pass


class Reserved(_Linear, name="reserved"):
    name: str = bb.param("x", "a word that is taken")


class Shadowing(_Linear, name="shadowing"):
    copy: int = bb.param(1, "a word that pydantic has taken")


class Idle(bb.Model, name="idle"):
    pass


class Loose(_Linear, name="loose", extra="allow"):
    pass


class Hasty(bb.Model, name="hasty", extra="allow"):
    revision = "two"
    width: int
    height: int


class Kept(_Linear, name="kept"):
    """The one that is well."""


class Order(bb.Optimizer, name="order"):
    pass


@bb.hookimpl
def benchbench_models() -> list[object]:
    return [BadDefault, NoDefault, NoName, BadName, Reserved, Shadowing, Idle, Loose, Hasty, Kept, Order, Kept(), 7]
