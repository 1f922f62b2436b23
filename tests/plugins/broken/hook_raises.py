"""A hook that raises."""

import benchbench as bb


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    raise RuntimeError("no models today")
