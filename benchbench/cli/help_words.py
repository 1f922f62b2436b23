"""The words for arguments and values in ``--help``: ``RUN IMAGE...``, as in the docs, and no types."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CHOICES = re.compile(r"<(\w+(?:\|\w+)+)>")
_TYPE = re.compile(r"<[^<>]+>")


def argument_word(argument: Any) -> str:
    """Return what stands for an argument, such as ``RUN`` or ``IMAGE...``."""
    return str(argument.metavar or argument.name.upper())


def use_our_words(command: Any) -> None:
    """Let the help of a command, or of every command of a group, use the words of this module.

    Typer's own have the types of Python, such as ``<list[str]>``, and differ between its versions.
    """
    for inner in getattr(command, "commands", {}).values():
        use_our_words(inner)
    for param in command.params:
        param.get_help_record = partial(_help_record, param, param.get_help_record)
        if param.param_type_name == "argument":
            param.get_usage_pieces = partial(_usage_pieces, param)


def _usage_pieces(argument: Any, context: Any) -> list[str]:  # noqa: ARG001 - the signature of the method
    word = argument_word(argument)
    return [word if argument.required else f"[{word}]"]


def _help_record(param: Any, of_typer: Callable[[Any], tuple[str, str] | None], context: Any) -> tuple[str, str] | None:
    """Return the name of a parameter with its value, and its help."""
    record = of_typer(context)
    if record is None:
        return None
    name, text = record
    # Typer puts a default that is a text into brackets of its own.
    text = text.replace(f"default: ({param.show_default})", f"default: {param.show_default}")
    if param.param_type_name == "argument":
        return argument_word(param), text
    return _TYPE.sub("VALUE", _CHOICES.sub(r"\1", name)), text
