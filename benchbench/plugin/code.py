"""The source files behind a plugin: its own, those of its package that it imports, and those of what it inherits from.

They tell whether a plugin has changed since it decoded a dataset or trained a trial. Imports are found by reading the
files, since an import inside a function has not happened yet when the plugin is loaded.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.plugin import loose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_DYNAMIC_IMPORTS = (b"import_module", b"__import__")
"""A module with one of these words may import any other module of its package."""


def source_digest(cls: type, offered_by: ModuleType | None = None) -> str:
    """Return the sha256 of the sources behind a plugin class, or "" if it was not made in a file."""
    digest = hashlib.sha256()
    files = source_files(cls, offered_by)
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest() if files else ""


def source_files(cls: type, offered_by: ModuleType | None = None) -> tuple[Path, ...]:
    """Return the file of a class and the modules of its package that it imports, directly or through others.

    For a plugin file, the modules beside it count as its package. Plugins of other packages that it inherits from count
    with their imports. If a function made the class, the module that offers it, with its imports, counts too: it may
    have called the function.
    """
    is_made = getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is not cls
    makers: list[type | ModuleType] = [cls, *([offered_by] if is_made and offered_by is not None else [])]
    own = sorted({path for maker in makers for path in _files_behind(maker)})
    # After its own, since where another package lies differs between machines.
    others = (path for base in _bases_elsewhere(cls) for path in _files_behind(base))
    return tuple(dict.fromkeys([*own, *others]))


def _bases_elsewhere(cls: type) -> list[type]:
    """Return the plugins of other packages that a class inherits from: those of its own are among its imports."""
    from benchbench.plugin.base import Plugin  # here, since the catalog is read without pydantic

    passed_over = {"benchbench", _top(cls)}  # a trial's record and the key of decoded images have our own code anyway
    return [base for base in cls.__mro__ if issubclass(base, Plugin) and _top(base) not in passed_over]


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _files_behind(maker: type | ModuleType) -> tuple[Path, ...]:
    """Return the file of a class or module and what it imports of its package."""
    try:
        path = Path(inspect.getfile(maker)).resolve()
    except (OSError, TypeError):
        return ()
    if not path.is_file():
        return ()
    name = maker.__module__ if isinstance(maker, type) else maker.__name__
    folder = loose.folder_of(name)
    if folder is not None:
        return _Package(folder, "").files_behind(path)
    package, *inner = name.split(".")
    if not inner and path.name != "__init__.py":
        return (path,)  # one module by itself: what lies beside it in site-packages is not its own
    root = path.parents[len(inner) - (path.name != "__init__.py")]
    return _Package(root, package).files_behind(path)


def loose_source_files(path: Path) -> tuple[Path, ...]:
    """Return a plugin file and the modules beside it that it imports, directly or through others."""
    path = path.resolve()
    return _Package(path.parent, "").files_behind(path)


@dataclass(frozen=True)
class _Package:
    """A folder of modules. ``name`` is the package's name, or "" if modules are imported without one."""

    folder: Path
    name: str

    def files_behind(self, path: Path) -> tuple[Path, ...]:
        """Return a module's file and those of the package that it imports, sorted."""
        seen: set[Path] = set()
        waiting = [path]
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += self._imported_by(module)
        return tuple(sorted(seen))

    def _imported_by(self, module: Path) -> Iterator[Path]:
        try:
            text = module.read_bytes()
            tree = ast.parse(text)
        except (OSError, SyntaxError, ValueError):
            return
        if self.name and any(word in text for word in _DYNAMIC_IMPORTS):
            yield from self.folder.rglob("*.py")
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._files_of(alias.name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = f"{node.module}.{alias.name}" if node.module else alias.name
                    yield from (
                        _files_below(module.parents[node.level - 1], name) if node.level else self._files_of(name)
                    )

    def _files_of(self, name: str) -> Iterator[Path]:
        """Yield the files of an absolute import, if it is of this package."""
        if not self.name:
            yield from _files_below(self.folder, name)
        elif name.partition(".")[0] == self.name:
            yield from _files_below(self.folder, name.partition(".")[2])


def _files_below(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files that importing ``a.b.c`` runs in a folder: ``a/__init__.py``, ``a/b.py``."""
    for candidate in (folder / "__init__.py", *_module_files(folder, name.split("."))):
        if candidate.is_file():
            yield candidate


def _module_files(folder: Path, parts: list[str]) -> Iterator[Path]:
    for part in parts:
        yield folder / f"{part}.py"
        folder /= part
        yield folder / "__init__.py"
