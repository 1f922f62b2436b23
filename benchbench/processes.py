"""How a module of ours is started in a process of its own, and the last thing that such a process said."""

from __future__ import annotations

import sys


def module_command(name: str, *arguments: str, is_unbuffered: bool = False) -> list[str]:
    """Return the command that runs a module in this interpreter, with its streams unbuffered if asked for."""
    # -P: the working folder is not a place to import from.
    return [sys.executable, "-P", *(["-u"] if is_unbuffered else []), "-m", name, *arguments]


def last_line(output: bytes) -> str:
    """Return the last line of what a process wrote, or "" if it wrote nothing."""
    return output.decode(errors="replace").strip().rpartition("\n")[2]
