"""Paths that one may not read, also for root, whom no mode of a file stops."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def forbid(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let the system refuse to list a folder, or to open a file."""
    for module, name in ((os, "listdir"), (os, "scandir"), (io, "open")):
        monkeypatch.setattr(module, name, _refusing(getattr(module, name), path))


def _refusing(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def call(given: Any = ".", *args: Any, **options: Any) -> Any:
        if not isinstance(given, int) and Path(os.fsdecode(given)) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return function(given, *args, **options)

    return call
