"""Packages list their modules, the architecture page names files that exist, and torch stays in its wing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

HOUSE = REPOSITORY / "benchbench"
PACKAGES = [*sorted(path.parent for path in HOUSE.rglob("__init__.py")), REPOSITORY / "plugins"]
OF_THE_WORKER = ("worker", "testing")
HEAVY = ("torch", "torchvision", "timm")
VAGUE_NAMES = ("found", "place", "what", "how")
ARCHITECTURE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def listed_modules(package: Path) -> list[str]:
    """Return the names at the start of the indented lines of a package's docstring."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return re.findall(r"^    (\w+(?:\.py|/))\s+\S", text, re.MULTILINE)


def names_in(package: Path) -> set[str]:
    """Return the modules and the folders of a package, the latter with a slash."""
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    return modules | {f"{path.name}/" for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}


def name_made_by(node: ast.AST) -> str:
    """Return the name of a variable that is assigned or of an argument, or "" for anything else."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.arg if isinstance(node, ast.arg) else ""


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_the_docstring_of_a_package_lists_its_modules(package: Path) -> None:
    listed = listed_modules(package)
    assert len(listed) == len(set(listed))
    assert set(listed) == names_in(package), (
        f"one line each in {package.name}/__init__.py: '    name.py  what it holds'"
    )


def test_variables_are_named_after_what_they_hold() -> None:
    paths = [*HOUSE.rglob("*.py"), *(REPOSITORY / "plugins").rglob("*.py")]
    named = {
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {name}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (name := name_made_by(node)) in VAGUE_NAMES
    }
    assert not named


def test_every_file_that_the_architecture_page_names_exists() -> None:
    named = {name for name in re.findall(r"`([\w./-]+)`", ARCHITECTURE) if name.endswith((".py", ".toml", ".md", "/"))}
    assert named
    assert not {name for name in named if not (HOUSE / name).exists() and not (REPOSITORY / name).exists()}


@pytest.mark.slow
def test_the_drivers_wing_does_not_import_torch() -> None:
    files = [path for path in HOUSE.rglob("*.py") if path.relative_to(HOUSE).parts[0] not in OF_THE_WORKER]
    modules = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in files]
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(name)
print(sorted(set({HEAVY}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
