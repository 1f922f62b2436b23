"""The names of environment variables: one list, which the page on settings and the code agree with."""

from __future__ import annotations

import ast
import re

from support.paths import REPOSITORY

from benchbench import variables

SOURCES = [path for folder in ("benchbench", "plugins") for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def test_the_page_on_settings_lists_our_environment_variables() -> None:
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(BENCH_\w+)` \|", page, re.MULTILINE)) == variables.NAMES


def test_the_code_mentions_no_other_variable_of_ours() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    assert {name for text in texts for name in re.findall(r"\bBENCH_\w+", text)} - {"BENCH_"} == set(variables.NAMES)


def test_the_names_of_variables_are_written_in_one_module() -> None:
    written = {
        path.relative_to(REPOSITORY).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in variables.NAMES
    }
    assert written == {"benchbench/variables.py"}
