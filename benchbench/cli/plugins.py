"""``bench list`` and ``bench show``: what can be named on the command line, and its shell completion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli import options
from benchbench.cli.tables import print_table
from benchbench.errors import BenchError, SpecError, closest
from benchbench.plugin.discovery import HOOK_OF_KIND, loose_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.description import Entry, Param

Completion = list[tuple[str, str]]


def complete_kind(incomplete: str) -> Completion:
    """Return the kinds that begin so."""
    return [(f"{kind}s", "") for kind in HOOK_OF_KIND if kind.startswith(incomplete.removesuffix("s"))]


def complete_model(ctx: typer.Context, incomplete: str) -> Completion:
    """Return the models that begin so, each with its summary."""
    return _complete("model", ctx, incomplete)


def complete_dataset(ctx: typer.Context, incomplete: str) -> Completion:
    """Return the datasets that begin so, each with its summary."""
    return _complete("dataset", ctx, incomplete)


def complete_optimizer(ctx: typer.Context, incomplete: str) -> Completion:
    """Return the optimizers that begin so, each with its summary."""
    return _complete("optimizer", ctx, incomplete)


def complete_scheduler(ctx: typer.Context, incomplete: str) -> Completion:
    """Return the schedulers that begin so, each with its summary."""
    return _complete("scheduler", ctx, incomplete)


def complete_several(complete: Callable[[typer.Context, str], Completion]) -> Callable[..., Completion]:
    """Return what completes the last of several names with commas between."""

    def complete_last(ctx: typer.Context, incomplete: str) -> Completion:
        before, comma, last = incomplete.rpartition(",")
        named = before.split(",")
        return [(before + comma + name, summary) for name, summary in complete(ctx, last) if name not in named]

    return complete_last


def complete_name(ctx: typer.Context, incomplete: str) -> Completion:
    """Return the plugins of the kind already typed that begin so."""
    return _complete(str(ctx.params.get("kind")).removesuffix("s"), ctx, incomplete)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_plugins)
    app.command("show")(show_plugin)


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
    kinds = [_kind(kind)] if kind else list(HOOK_OF_KIND)
    catalog = _read_catalog(map(str, plugins or ()))
    entries = [entry for kind in kinds for entry in catalog.of_kind(kind)]
    if as_json:
        broken = [{"origin": item.origin, "reason": item.reason} for item in catalog.broken]
        _print_json({"plugins": [entry.to_json() for entry in entries], "broken": broken})
    else:
        print_table(("kind", "name", "summary", "origin"), map(_list_row, entries), unbroken=("kind", "name"))
    _mention_broken(catalog)


def show_plugin(
    *,
    kind: Annotated[str, typer.Argument(help="dataset, model, optimizer or scheduler.", autocompletion=complete_kind)],
    name: Annotated[str, typer.Argument(help="The plugin's name; bench list.", autocompletion=complete_name)],
    plugins: options.Plugins = None,
    as_json: options.Json = False,
    debug: options.Debug = False,  # noqa: ARG001 - its callback does it
) -> None:
    """Show a plugin's parameters: type, default, limits and help."""
    kind = _kind(kind)
    catalog = _read_catalog(map(str, plugins or ()))
    entry = catalog.find(kind, name)
    if as_json:
        _print_json(entry.to_json())
    else:
        _print_entry(entry)
    _mention_broken(catalog)


def _kind(word: str) -> str:
    kind = word.lower().removesuffix("s")
    if kind not in HOOK_OF_KIND:
        kinds = ", ".join(HOOK_OF_KIND)
        raise SpecError(f"no kind of plugin is called {word!r}", hint=closest(word, HOOK_OF_KIND) or f"kinds: {kinds}")
    return kind


def _read_catalog(files: Iterable[str]) -> Catalog:
    from rich.console import Console

    from benchbench.plugin.catalog import Catalog

    with Console(stderr=True).status("looking for plugins"):
        return Catalog.read(loose_files(files))


def _complete(kind: str, ctx: typer.Context, incomplete: str) -> Completion:
    from benchbench.plugin.catalog import Catalog

    try:
        catalog = Catalog.read(loose_files(map(str, ctx.params.get("plugins") or ())))
    except BenchError:
        return []
    return [(entry.name, entry.summary) for entry in catalog.of_kind(kind) if entry.name.startswith(incomplete)]


def _mention_broken(catalog: Catalog) -> None:
    for item in catalog.broken:
        typer.echo(f"broken: {item.origin}: {item.reason}; bench doctor", err=True)


def _print_json(data: object) -> None:
    typer.echo(json.dumps(data, indent=2))


def _list_row(entry: Entry) -> tuple[str, str, str, str]:
    return (entry.kind, entry.name, entry.summary, entry.origin)


def _param_row(param: Param) -> tuple[str, str, str, str, str]:
    default = param.default if isinstance(param.default, str) else json.dumps(param.default)
    return (param.name, param.type, "none" if param.default is None else default, param.limits, param.help)


def _print_entry(entry: Entry) -> None:
    typer.echo(f"{entry.kind} {entry.name}\n\n{entry.doc}\n")
    if entry.params:
        columns = ("parameter", "type", "default", "limits", "help")
        print_table(columns, map(_param_row, entry.params), unbroken=("parameter",))
        typer.echo(f"set one with: --set {entry.kind}.{entry.params[0].name}=VALUE")
    else:
        typer.echo("no parameters")
    if entry.download_facts:
        megabytes = entry.download_facts["num_bytes"] / 1e6
        typer.echo(f"download: {entry.download_facts['url']} ({megabytes:.0f} MB)")
    typer.echo(f"origin: {entry.origin}   revision: {entry.revision}")
