"""A hook that lacks its mark."""

import benchbench as bb


def benchbench_models() -> list[type[bb.Model]]:
    return []
