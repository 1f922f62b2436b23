"""A hook with an argument that there is not."""

import benchbench as bb


@bb.hookimpl
def benchbench_models(config: object) -> list[type[bb.Model]]:  # noqa: ARG001 - broken on purpose
    return []
