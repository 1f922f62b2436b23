"""``bench show``: the parameters of a plugin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.cli.list import complete_kind, mention_broken, read_catalog, read_kind
from benchbench.config.kinds import in_words
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.description import Entry, Param


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show_plugin)


def complete_name(ctx: typer.Context, incomplete: str) -> options.Completion:
    """Return the plugins of the kind typed before whose names start with the typed text."""
    try:
        kind = read_kind(str(ctx.params.get("kind")))
    except SpecError:
        return []
    return options.complete_plugin(kind, ctx, incomplete)


def show_plugin(
    *,
    kind: Annotated[
        str,
        typer.Argument(help=f"{in_words()}; or the plugin's name alone.", autocompletion=complete_kind),
    ],
    name: Annotated[
        str | None, typer.Argument(help="The plugin's name; see bench list.", autocompletion=complete_name)
    ] = None,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Show a plugin's parameters: type, default, limits and help."""
    from benchbench.cli.output import print_json

    read = read_kind(kind) if name is not None else None
    catalog = read_catalog(plugins)
    entry = catalog.find(read, name) if read and name else _find_name(catalog, kind)
    if as_json:
        print_json(entry.to_json())
    else:
        print_entry(entry)
    mention_broken(catalog)


def print_entry(entry: Entry) -> None:
    """Print what is known of a plugin."""
    from benchbench.cli.output import print_table

    typer.echo(f"{entry.kind} {entry.name}\n\n{entry.doc}\n")
    if entry.params:
        columns = ("parameter", "type", "default", "limits", "help")
        print_table(columns, map(_param_row, entry.params), unbroken=("parameter",))
        typer.echo(f"set one with: --set {entry.kind}.{entry.params[0].name}=VALUE")
    else:
        typer.echo("no parameters")
    if entry.augmentation:
        typer.echo(f"default augmentation: {entry.augmentation}")
    if entry.download_facts:
        megabytes = entry.download_facts["num_bytes"] / 1e6
        typer.echo(f"download: {entry.download_facts['url']} ({megabytes:.0f} MB)")
    typer.echo(f"origin: {entry.origin}   revision: {entry.revision}")


def _find_name(catalog: Catalog, name: str) -> Entry:
    """Return the plugin of that name if there is just one, whatever its kind."""
    entries = [entry for entry in catalog.entries if entry.name == name]
    if len(entries) == 1:
        return entries[0]
    if entries:
        raise SpecError(f"{name!r} is the name of several plugins", hint=f"bench show {entries[0].kind} {name}")
    near = closest(name, {entry.name for entry in catalog.entries})
    raise SpecError(f"no plugin named {name!r}", hint=near or "bench list shows all of them")


def _param_row(param: Param) -> tuple[str, str, str, str, str]:
    default = param.default if isinstance(param.default, str) else json.dumps(param.default)
    return (param.name, param.type, "none" if param.default is None else default, param.limits, param.help)
