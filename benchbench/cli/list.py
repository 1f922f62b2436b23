"""``bench list``: the plugins that can be named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.config.kinds import KINDS, in_words, plural
from benchbench.errors import SpecError, closest
from benchbench.plugin.discovery import loose_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchbench.plugin.catalog import Catalog


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_plugins)


def complete_kind(incomplete: str) -> options.Completion:
    """Return the kinds that start with the typed text."""
    return [(plural(kind), "") for kind in KINDS if plural(kind).startswith(incomplete)]


def list_plugins(
    *,
    kind: Annotated[
        str | None,
        typer.Argument(
            help=f"{in_words()}; all kinds if omitted.",
            autocompletion=complete_kind,
        ),
    ] = None,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """List the plugins that are installed."""
    from benchbench.cli.output import print_json, print_table

    kinds = [read_kind(kind)] if kind else list(KINDS)
    catalog = read_catalog(plugins)
    entries = [entry for kind in kinds for entry in catalog.of_kind(kind)]
    if as_json:
        broken = [{"origin": item.origin, "reason": item.reason} for item in catalog.broken]
        print_json({"plugins": [entry.to_json() for entry in entries], "broken": broken})
    else:
        rows = [(entry.kind, entry.name, entry.summary, entry.origin) for entry in entries]
        print_table(("kind", "name", "summary", "origin"), rows, unbroken=("kind", "name"))
    mention_broken(catalog)


def read_kind(word: str) -> str:
    """Return the kind of plugin that a word such as ``models`` names, or raise :class:`SpecError`."""
    for kind in KINDS:
        if word.lower() in (kind, plural(kind)):
            return kind
    raise SpecError(f"no kind of plugin is called {word!r}", hint=closest(word, KINDS) or f"kinds: {', '.join(KINDS)}")


def read_catalog(plugins: Iterable[Path] | None) -> Catalog:
    """Return the catalog of all plugins, those in these files too; says on a terminal that it is being read."""
    from rich.console import Console

    from benchbench.plugin.catalog import Catalog

    with Console(stderr=True).status("looking for plugins"):
        return Catalog.read(loose_files(map(str, plugins or ())))


def mention_broken(catalog: Catalog) -> None:
    """Name the plugins that cannot be used, on standard error."""
    for item in catalog.broken:
        typer.echo(f"broken: {item.origin}: {item.reason}; bench doctor", err=True)
