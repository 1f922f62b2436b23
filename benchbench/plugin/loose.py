"""Loose plugin files as modules ``benchbench.plugin.loose.NAME``, which every process can import by that name.

A child process that ``multiprocessing`` spawns imports what it unpickles by the name of its module. It imports this
module first, as the parent of the plugin's, and finds in the environment which file a name stands for.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from pathlib import Path

__path__: list[str] = []
"""Makes this module a package for the import system, with no folder to look in."""

_VARIABLE = "BENCHBENCH_LOOSE_PLUGINS"


def load_file(path: Path) -> types.ModuleType:
    """Run a file as a module of its own and return it; leaves no ``__pycache__`` beside it."""
    path = path.resolve()
    stem = re.sub(r"\W", "_", path.stem)
    name = f"{__name__}.{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    os.environ[_VARIABLE] = json.dumps(_paths() | {name: str(path)})
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def _paths() -> dict[str, str]:
    """Return the files that this process or the ones above it loaded, by the names of their modules."""
    paths: dict[str, str] = json.loads(os.environ.get(_VARIABLE, "{}"))
    return paths


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature of the base
        target: types.ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        file = _paths().get(fullname)
        if file is None:
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=_UncachedLoader(fullname, file))


class _UncachedLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType | None:  # noqa: ARG002 - the signature of the base
        return self.source_to_code(self.get_data(self.path), self.path)


sys.meta_path.append(_Finder())
