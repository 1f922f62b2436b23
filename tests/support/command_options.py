"""The options of ``bench``, for the tests of what has to have one."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from benchbench.cli.main import make_app


def options_of(command: str) -> dict[str, str]:
    """Return the parameters of a command by their options: ``{"--batch-size": "batch_size", ...}``."""
    root: Any = get_command(make_app())
    return {option: param.name for param in root.commands[command].params for option in param.opts}
