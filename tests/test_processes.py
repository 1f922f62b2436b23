"""How modules are started in processes of their own."""

from __future__ import annotations

import sys

import pytest

from benchbench.processes import last_line, module_command


def test_a_module_is_run_by_this_interpreter_without_the_working_folder() -> None:
    assert module_command("a.b", "c") == [sys.executable, "-P", "-m", "a.b", "c"]
    assert module_command("a.b", is_unbuffered=True) == [sys.executable, "-P", "-u", "-m", "a.b"]


@pytest.mark.parametrize(
    ("output", "line"), [(b"", ""), (b" \n", ""), (b"one", "one"), (b"one\ntwo \n\n", "two"), (b"\xff\n", "\ufffd")]
)
def test_the_last_line_of_an_output_is_what_was_said_last(output: bytes, line: str) -> None:
    assert last_line(output) == line
