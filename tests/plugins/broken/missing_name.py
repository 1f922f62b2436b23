"""Uses a name that nothing defines."""

import benchbench as bb

WIDTHS = [width * SCALE for width in (1, 2)]  # type: ignore[name-defined]  # noqa: F821 - broken on purpose


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return []
