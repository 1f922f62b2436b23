"""Text that people wrote, in the encodings that their editors save: UTF-8 with or without a byte order mark."""

from __future__ import annotations

import codecs
import re
import tomllib
from typing import TYPE_CHECKING, Any

from benchbench.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(content: bytes, *, name: str) -> str:
    """Return UTF-8 as text, without its byte order mark.

    Raises :class:`SpecError` with the ``name`` of the file if the content is in another encoding.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_utf_16 = content.startswith(_UTF_16)
        problem = "it is UTF-16, not UTF-8" if is_utf_16 else f"it is not UTF-8 text: {error}"
        hint = 'save it as "UTF-8", not as "Unicode" or "UTF-16"' if is_utf_16 else "save it as UTF-8"
        raise SpecError(f"cannot read {name}: {problem}", hint=hint) from None


def read_text(path: Path) -> str:
    """Return the text of a file; raises :class:`SpecError` if there is none, or if it cannot be read."""
    try:
        return decode_text(path.read_bytes(), name=str(path))
    except FileNotFoundError:
        raise SpecError(f"no such file: {path}") from None
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file; the paths in its ``plugins`` are taken as relative to the file.

    Raises :class:`SpecError` with file, line and column.
    """
    text = read_text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}", hint=_hint_on_value(text, str(error))) from None
    if "plugins" in table:
        table["plugins"] = [str(path.parent / file) for file in _plugin_paths(table["plugins"], path)]
    return table


def _hint_on_value(text: str, message: str) -> str:
    """Return a hint on what may have been meant by a bare word, if the error is about one."""
    match = re.fullmatch(r"Invalid value \(at line (\d+), column (\d+)\)", message)
    line = text.splitlines()[int(match[1]) - 1] if match else ""
    word = re.match(r"[A-Za-z]\w*", line[int(match[2]) - 1 :]) if match else None
    if word is None:
        return ""
    if word[0] in ("True", "False"):
        return f"write {word[0].lower()}"
    return f'texts need quotes: "{word[0].lower() if word[0] == "None" else word[0]}"'


def _plugin_paths(value: object, path: Path) -> list[str]:
    if isinstance(value, list) and all(isinstance(file, str) for file in value):
        return value
    example = f'plugins = ["{value}"]' if isinstance(value, str) else 'plugins = ["my_plugin.py"]'
    raise SpecError(f"{path}: plugins must be a list of paths, not {value!r}", hint=example)
