"""How a program ends while something goes on in the background."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from benchbench.background import end_without_waiting, in_background

def import_slowly(seconds):
    time.sleep(seconds)
    print("imported", flush=True)

print("begun")
in_background(import_slowly, {seconds}, name="bench-import")
{end}
"""


@pytest.mark.parametrize(
    ("seconds", "end", "code", "output"),
    [
        (0.5, "sys.exit(3)", 3, "begun\nimported\n"),
        (600, "end_without_waiting(3)", 3, "begun\n"),
        (0, "time.sleep(0.5); end_without_waiting(3)", 0, "begun\nimported\n"),
    ],
)
def test_a_program_waits_for_an_import_or_ends_at_once(seconds: float, end: str, code: int, output: str) -> None:
    program = PROGRAM.format(seconds=seconds, end=end)
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode, done.stderr) == (output, code, "")
