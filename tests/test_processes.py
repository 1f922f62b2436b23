"""What processes that were started say."""

from __future__ import annotations

import pytest

from benchbench.processes import last_line


@pytest.mark.parametrize(
    ("output", "line"), [(b"", ""), (b" \n", ""), (b"one", "one"), (b"one\ntwo \n\n", "two"), (b"\xff\n", "\ufffd")]
)
def test_the_last_line_of_an_output_is_what_was_said_last(output: bytes, line: str) -> None:
    assert last_line(output) == line
