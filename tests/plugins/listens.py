"""Hears events and adds a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import benchbench as bb

if TYPE_CHECKING:
    import typer

heard: list[bb.Event] = []


@bb.hookimpl
def benchbench_event(event: bb.Event) -> None:
    heard.append(event)


@bb.hookimpl
def benchbench_commands(app: typer.Typer) -> None:
    app.command("hello")(lambda: None)
