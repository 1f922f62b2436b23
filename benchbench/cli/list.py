"""``bench list``: the plugins that can be named on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.errors import SpecError, closest
from benchbench.plugin.discovery import HOOK_OF_KIND, loose_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.plugin.catalog import Catalog


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_plugins)


def complete_kind(incomplete: str) -> options.Completion:
    """Return the kinds that begin so."""
    return [(f"{kind}s", "") for kind in HOOK_OF_KIND if kind.startswith(incomplete.removesuffix("s"))]


def list_plugins(
    *,
    kind: Annotated[
        str | None,
        typer.Argument(
            help="dataset, model, optimizer or scheduler; all of them if left out.",
            autocompletion=complete_kind,
        ),
    ] = None,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """List the plugins that are installed."""
    from benchbench.cli.tables import print_table

    kinds = [read_kind(kind)] if kind else list(HOOK_OF_KIND)
    catalog = read_catalog(map(str, plugins or ()))
    entries = [entry for kind in kinds for entry in catalog.of_kind(kind)]
    if as_json:
        broken = [{"origin": item.origin, "reason": item.reason} for item in catalog.broken]
        typer.echo(json.dumps({"plugins": [entry.to_json() for entry in entries], "broken": broken}, indent=2))
    else:
        rows = [(entry.kind, entry.name, entry.summary, entry.origin) for entry in entries]
        print_table(("kind", "name", "summary", "origin"), rows, unbroken=("kind", "name"))
    mention_broken(catalog)


def read_kind(word: str) -> str:
    """Return the kind of plugin that a word such as ``models`` names, or raise :class:`SpecError`."""
    kind = word.lower().removesuffix("s")
    if kind not in HOOK_OF_KIND:
        kinds = ", ".join(HOOK_OF_KIND)
        raise SpecError(f"no kind of plugin is called {word!r}", hint=closest(word, HOOK_OF_KIND) or f"kinds: {kinds}")
    return kind


def read_catalog(files: Iterable[str]) -> Catalog:
    """Return the catalog of all plugins; says on a terminal that it is being read."""
    from rich.console import Console

    from benchbench.plugin.catalog import Catalog

    with Console(stderr=True).status("looking for plugins"):
        return Catalog.read(loose_files(files))


def mention_broken(catalog: Catalog) -> None:
    """Name the plugins that cannot be used, on standard error."""
    for item in catalog.broken:
        typer.echo(f"broken: {item.origin}: {item.reason}; bench doctor", err=True)
