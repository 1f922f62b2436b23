"""Model plugins that build what a function makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import benchbench as bb

if TYPE_CHECKING:
    from torch import nn


class Wrapped(bb.Model, name="wrapped"):
    """Builds what ``make`` makes."""

    make: ClassVar[Any] = None

    def build(self, data: bb.DataSpec) -> nn.Module:
        module: nn.Module = type(self).make()
        return module


def model_of(make: Any) -> bb.Model:
    """Return a plugin that builds what ``make()`` returns."""
    made = type("Made", (Wrapped,), {"make": staticmethod(make), "__annotations__": {"make": ClassVar[Any]}})
    return made()  # type: ignore[no-any-return]
