"""Addresses of SQLite databases: made from a path and read back, and as our state keeps them.

A path in a URL is quoted: a folder may be called ``50%25`` or ``a?b``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from pathlib import Path
from urllib.parse import unquote

from benchbench.records.state import state_folder

_SPECIAL = re.compile("[%?#]")


def quoted(path: Path | str) -> str:
    """Return a path as it stands in a URL; what a URL can hold is left as it is, so that people can read it."""
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", str(path))


def sqlite_uri(path: Path) -> str:
    """Return the address of a SQLite file."""
    return f"sqlite:///{quoted(path) if _sqlalchemy_unquotes() else path}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite address, or None for any other address."""
    scheme, _, rest = uri.partition(":///")
    if scheme.split("+")[0] != "sqlite" or not rest:
        return None
    path = rest.partition("?")[0]
    return Path(unquote(path) if _sqlalchemy_unquotes() else path)


def with_path(uri: str, path: Path) -> str:
    """Return a SQLite address with another file, and its driver and query as they were."""
    scheme, _, rest = uri.partition(":///")
    _, mark, query = rest.partition("?")
    return f"{scheme}:///{sqlite_uri(path).removeprefix('sqlite:///')}{mark}{query}"


def to_state(uri: str) -> str:
    """Return an address as our state keeps it: relative to where the state is, so that both can be moved together."""
    path = sqlite_path(uri)
    return uri if path is None else with_path(uri, relative(path))


def from_state(uri: str) -> str:
    """Return the address that :func:`to_state` was given, or the new one if the folder was moved."""
    path = sqlite_path(uri)
    return uri if path is None else with_path(uri, base_folder() / path)


def relative(path: Path) -> Path:
    """Return a path relative to the folder that holds our state, if it lies there, or else absolute."""
    absolute = path.absolute()
    return absolute.relative_to(base_folder()) if absolute.is_relative_to(base_folder()) else absolute


def base_folder() -> Path:
    """Return the folder that holds our state: what is moved or copied as a whole."""
    return state_folder().absolute().parent


@functools.cache
def _sqlalchemy_unquotes() -> bool:
    """Tell whether SQLAlchemy, which is not imported here, decodes the path of an address: since 2.1."""
    version = importlib.metadata.version("sqlalchemy").split(".")
    return tuple(map(int, version[:2])) >= (2, 1)
