"""Loose plugin files as modules that every process can import by name: ``benchbench.plugin.loose.FOLDER.FILE``.

The folder of a loose file counts as a package, so that the file may import its neighbours: ``import layers``, with
``layers.py`` beside it, is read as ``from . import layers``. Nothing is put on ``sys.path``, and two folders may each
have a ``layers.py`` of their own. A name of the standard library, or one that stands for the very same file anyway,
keeps its meaning.

A child process that ``multiprocessing`` spawns imports what it unpickles by the name of its module. It imports this
module first, as the parent of the plugin's, and finds in the environment which folder a name stands for.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Sequence

__path__: list[str] = []
"""Makes this module a package for the import system, with no folder to look in."""

_VARIABLE = "BENCHBENCH_LOOSE_PLUGINS"


def load_file(path: Path) -> types.ModuleType:
    """Run a file as a module of its own and return it; leaves no ``__pycache__`` beside it.

    It is run anew if it, or a neighbour that it imported, has changed since.
    """
    path = path.resolve()
    package = f"{__name__}.{_word(path.parent.name)}_{hashlib.sha256(str(path.parent).encode()).hexdigest()[:12]}"
    word = _word(path.stem)
    if word != path.stem:  # my-net.py beside my_net.py is a file of its own
        word += f"_{hashlib.sha256(path.stem.encode(errors='surrogateescape')).hexdigest()[:8]}"
    name = f"{package}.{word}"
    os.environ[_VARIABLE] = json.dumps(_paths() | {package: str(path.parent), name: str(path)})
    _forget_changed(package)
    return importlib.import_module(name)


def folder_of(module: str) -> Path | None:
    """Return the folder of the loose file that a module is, or is a neighbour of; None for any other module."""
    if not module.startswith(f"{__name__}."):
        return None
    folder = _paths().get(".".join(module.split(".")[: __name__.count(".") + 2]))
    return Path(folder) if folder else None


def _word(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _paths() -> dict[str, str]:
    """Return folders and files that this process or the ones above it loaded, by the names of their modules."""
    paths: dict[str, str] = json.loads(os.environ.get(_VARIABLE, "{}"))
    return paths


_seen: dict[str, tuple[Path, str]] = {}
"""The file of each loaded module, and the digest that it had then."""


def _forget_changed(package: str) -> None:
    """Forget the modules of a folder if one of them has changed: they may have imported names from each other."""
    ours = [name for name in _seen if name.startswith(f"{package}.")]
    if any(_digest(path) != digest for path, digest in map(_seen.__getitem__, ours)):
        for name in ours:
            sys.modules.pop(name, None)
            del _seen[name]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        known = _paths().get(fullname)
        if known is None:
            return _uncached(PathFinder.find_spec(fullname, path, target)) if path else None
        if fullname.count(".") > __name__.count(".") + 1:
            return importlib.util.spec_from_file_location(fullname, known, loader=_Loader(fullname, known))
        folder = ModuleSpec(fullname, None, is_package=True)  # its __init__.py, if there is one, is not run
        folder.submodule_search_locations = [known]
        return folder


def _uncached(spec: ModuleSpec | None) -> ModuleSpec | None:
    """Return the spec of a neighbour, which is loaded as the loose file itself is."""
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
    return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType | None:
        _seen[fullname] = (Path(self.path), _digest(Path(self.path)))
        folder = folder_of(fullname)
        tree = ast.parse(self.get_data(self.path), self.path)
        if folder is not None:
            # How many folders the module lies below that of the loose file: one level more for each.
            depth = fullname.count(".") - __name__.count(".") - 1 + (Path(self.path).name == "__init__.py")
            tree = ast.fix_missing_locations(_Neighbours(folder, depth).visit(tree))
        return compile(tree, self.path, "exec", dont_inherit=True)


class _Neighbours(ast.NodeTransformer):
    """Makes imports of modules in ``folder`` relative: they are ``depth`` levels up."""

    def __init__(self, folder: Path, depth: int) -> None:
        self._folder = folder
        self._depth = depth

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level == 0 and node.module and self._has(node.module):
            node.level = self._depth
        return node

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        return [statement for alias in node.names for statement in self._imported(alias, node)]

    def _imported(self, alias: ast.alias, node: ast.Import) -> Iterable[ast.stmt]:
        if not self._has(alias.name):
            return [ast.copy_location(ast.Import([alias]), node)]
        parent, _, last = alias.name.rpartition(".")
        if alias.asname or not parent:
            return [self._relative(parent, last, alias.asname, node)]
        # "import a.b" makes b an attribute of a, and gives the name a.
        top = alias.name.partition(".")[0]
        return [self._relative(parent, last, top, node), self._relative("", top, None, node)]

    def _relative(self, module: str, name: str, asname: str | None, node: ast.Import) -> ast.stmt:
        statement = ast.ImportFrom(module or None, [ast.alias(name, asname)], self._depth)
        return ast.copy_location(statement, node)

    def _has(self, module: str) -> bool:
        """Tell whether a module is one of the folder's."""
        top = module.partition(".")[0]
        files = (self._folder / f"{top}.py", self._folder / top / "__init__.py")
        file = next((file for file in files if file.is_file()), None)
        return file is not None and top not in sys.stdlib_module_names and not _is_importable(top, file)


def _is_importable(top: str, file: Path) -> bool:
    """Tell whether the name stands for this file anyway: it is installed from here, or the folder is on sys.path."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file.resolve()


# First, since pytest rewrites what other packages import, and would do so with files below this module.
sys.meta_path.insert(0, _Finder())
