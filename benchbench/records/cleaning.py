"""What travels to other people, without the paths of this machine and without credentials."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from typing import TYPE_CHECKING, Any

from benchbench.records.redaction import without_credentials, without_paths

if TYPE_CHECKING:
    from collections.abc import Callable

_PLUGINS = re.compile(r"^plugins = \[(?:\n.*?^\]|[^\n]*\])", re.MULTILINE | re.DOTALL)


def cleaned_json(text: str) -> str:
    """Return JSON without absolute paths and credentials.

    The paths of a spec stay, since its id is made of them, and so do the names of classes, which may look like paths.
    """
    try:
        return json.dumps(_clean(json.loads(text)), indent=2) + "\n"
    except (ValueError, RecursionError):
        return cleaned(text)


def cleaned_predictions(text: str) -> str:
    """Return a table of predictions whose images are named without the folder that all absolute paths are in."""
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    folders = [posixpath.dirname(row[0]) for row in rows if row[0].startswith("/")]
    if not folders:
        return text
    common, table = posixpath.commonpath(folders), io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    for name, *rest in rows:
        writer.writerow([posixpath.relpath(name, common) if name.startswith("/") else name, *rest])
    return table.getvalue()


def cleaned_spec(text: str) -> str:
    """Return a spec as a TOML file without the folders of plugin files; paths that are parameters stay."""
    return _PLUGINS.sub(lambda plugins: without_paths(plugins[0]), without_credentials(text), count=1)


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
