"""A hook without its last letter, which pluggy alone would pass over in silence."""

import benchbench as bb


@bb.hookimpl
def benchbench_model() -> list[type[bb.Model]]:
    return []
