"""Builds nothing."""

import benchbench as bb


class Net(bb.Model, name="net"):
    pass


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Net]
