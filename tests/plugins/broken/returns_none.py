"""A hook that forgets to return."""

import benchbench as bb


@bb.hookimpl
def benchbench_models() -> None:
    pass
