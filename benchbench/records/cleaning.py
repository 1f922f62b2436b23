"""What travels to other people, without the paths of this machine and without credentials."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
import tomllib
from typing import TYPE_CHECKING, Any

from benchbench.config.kinds import KINDS
from benchbench.records.artifact_files import PredictionColumn
from benchbench.records.redaction import without_credentials, without_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_TOML_TEXT = re.compile(r'''"""[\s\S]*?"""|\'{3}[\s\S]*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*''')
"""The texts and comments of a TOML file."""


def cleaned_json(text: str) -> str:
    """Return JSON without absolute paths and credentials.

    The paths of a spec stay, since its id is made of them, and so do the names of classes, which may look like paths.
    """
    try:
        return json.dumps(_clean(json.loads(text)), indent=2) + "\n"
    except (ValueError, RecursionError):
        return cleaned(text)


def cleaned_predictions(text: str) -> str:
    """Return a table of predictions whose images are named without the folder that all absolute paths are in.

    A table without a column of images is none of ours, and is cleaned as any text.
    """
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if not rows or PredictionColumn.IMAGE not in rows[0]:
        return cleaned(text)
    column = rows[0].index(PredictionColumn.IMAGE)
    named = [row for row in rows if len(row) > column and row[column].startswith("/")]
    if not named:
        return text
    common = posixpath.commonpath([posixpath.dirname(row[column]) for row in named])
    for row in named:
        row[column] = posixpath.relpath(row[column], common)
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def cleaned_toml(text: str) -> str:
    """Return a spec or a grid file without absolute paths and credentials; paths that are parameters stay."""
    text = without_credentials(text)
    try:
        table = tomllib.loads(text)
        # Values that trials are selected by may be parameters in an included file.
        selected = [table.get("compare"), *(row.get("where") for row in table.get("expected", ()))]
        kept = {*_texts(selected), *_params([table.get(kind) for kind in KINDS])}
        return _TOML_TEXT.sub(lambda part: part[0] if _is_one_of(kept, part[0]) else without_paths(part[0]), text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return without_paths(text)


def _params(plugins: Any) -> Iterator[str]:
    """Yield the texts among the parameters of plugins, but for their names, which may be paths of plugin files."""
    if isinstance(plugins, list):
        for plugin in plugins:
            yield from _params(plugin)
    elif isinstance(plugins, dict):
        for name, value in plugins.items():
            if name == "grid":
                yield from _params(value)
            elif name != "name":
                yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _is_one_of(texts: Collection[str], written: str) -> bool:
    return not written.startswith("#") and tomllib.loads(f"text = {written}")["text"] in texts


def cleaned(text: str) -> str:
    """Return any text without absolute paths and credentials."""
    return without_paths(without_credentials(text))


def _clean(value: Any, clean: Callable[[str], str] = cleaned) -> Any:
    if isinstance(value, dict):
        return {
            key: _clean(item, without_credentials if key in ("spec", "class_names") else clean)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_clean(item, clean) for item in value]
    return clean(value) if isinstance(value, str) else value
