# ruff: noqa: INP001 - a script, no package
"""Write ``docs/cli.md`` from the commands and the shipped plugins themselves.

::

    python docs/generate.py            write docs/cli.md
    python docs/generate.py --check    exit with 1 where docs/cli.md is not what would be written

The text is made from what commands and parameters declare, not from what ``--help`` prints: that depends on the
terminal and on the version of typer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from benchbench.cli.main import make_app
from benchbench.plugin.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchbench.plugin.description import Entry, Param

TARGET = Path(__file__).with_name("cli.md")
OURS = "benchbench:"
"""What the origin of a shipped plugin begins with; what else is installed is left out."""

FROM_TYPER = {"install_completion", "show_completion"}
"""Options that typer adds, in words that differ between its versions."""

HEAD = """\
# Commands and shipped plugins

This page is generated: `python docs/generate.py` writes it, and a test fails when it is out of date.
`bench --help` and `bench COMMAND --help` say the same in the terminal. Exit codes are in the
[README](../README.md#exit-codes).

`bench --install-completion` installs completion for the current shell: of commands, options and plugin names.
"""

KINDS = {
    "dataset": "Datasets",
    "model": "Models",
    "optimizer": "Optimizers",
    "scheduler": "Schedulers",
}


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, *_command(get_command(make_app()), "bench"), "## Shipped plugins\n", _on_plugins()]
    entries = [entry for entry in Catalog.read().entries if entry.origin.startswith(OURS)]
    for kind, title in KINDS.items():
        parts.append(f"### {title}\n")
        parts += [_plugin(entry) for entry in entries if entry.kind == kind]
    return "\n".join(parts)


def _command(command: Any, path: str) -> Iterator[str]:
    """Yield the section of a command, and those of its commands."""
    yield f"## `{path}`\n"
    yield f"{_paragraphs(command.help)}\n"
    yield f"```text\n{_usage(command, path)}\n```\n"
    rows = [_parameter(parameter) for parameter in _parameters(command)]
    if rows:
        yield _table(("argument or option", "default", "meaning"), rows)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{path} {name}")


def _usage(command: Any, path: str) -> str:
    words = [path, "[OPTIONS]"]
    for parameter in _parameters(command):
        if parameter.param_type_name == "argument":
            word = parameter.name.upper()
            words.append(word if parameter.required else f"[{word}]")
    if hasattr(command, "commands"):
        words.append("COMMAND ...")
    return " ".join(words)


def _parameters(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.name not in FROM_TYPER and not parameter.hidden]


def _parameter(parameter: Any) -> tuple[str, str, str]:
    meaning = parameter.help or ""
    if parameter.envvar:
        meaning += f" The environment variable `{parameter.envvar}` sets it too."
    if parameter.param_type_name == "argument":
        return (f"`{parameter.name.upper()}`", "required" if parameter.required else "", meaning)
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    value = "" if parameter.is_flag else f" `{parameter.metavar or 'VALUE'}`"
    return (names + value, _default(parameter), meaning)


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return f"`{parameter.show_default}`"
    return "" if parameter.is_flag or parameter.default in (None, ()) else f"`{parameter.default}`"


def _on_plugins() -> str:
    return (
        "`--set KIND.PARAM=VALUE` sets a parameter, such as `--set model.dropout=0.3` or"
        " `--set 'optimizer.betas=[0.9, 0.99]'`. `none` stands for no value.\n"
    )


def _plugin(entry: Entry) -> str:
    lines = [f"#### {entry.kind} `{entry.name}`\n", f"{_paragraphs(entry.doc)}\n"]
    if entry.params:
        columns = ("parameter", "type", "default", "limits", "meaning")
        lines.append(_table(columns, [_plugin_row(param) for param in entry.params]))
    else:
        lines.append("It has no parameters.\n")
    return "\n".join(lines)


def _plugin_row(param: Param) -> tuple[str, str, str, str, str]:
    default = param.default if isinstance(param.default, str) else json.dumps(param.default)
    shown = "none" if param.default is None else default
    return (f"`{param.name}`", f"`{param.type}`", f"`{shown}`", param.limits, param.help)


def _paragraphs(text: str | None) -> str:
    # Docstrings quote code as reStructuredText does.
    return (text or "").replace("``", "`").strip()


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main() -> int:
    """Write the page, or with ``--check`` tell whether it is fresh."""
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is out of date: python docs/generate.py", file=sys.stderr)  # noqa: T201 - a script
    return 1


if __name__ == "__main__":
    sys.exit(main())
