"""Options that several commands share, declared once."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer

debug = False
"""Whether tracebacks are shown; set by ``--debug`` on any command."""


def _set_debug(value: bool) -> None:  # noqa: FBT001 - typer's signature
    global debug  # noqa: PLW0603 - main reads it after the command has failed
    debug = debug or value


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        typer.echo(f"benchbench {importlib.metadata.version('benchbench')}")
        raise typer.Exit


Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show tracebacks of errors.")]
Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, everything else on standard error.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugins", help="A plugin file or folder to load as well; may be repeated.", show_default=False),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="[NAME=]PATH",
        help="Where the pictures are, for all datasets or for one; may be repeated.",
        show_default=False,
    ),
]
