"""A folder that was moved or copied, with a database in it and the files of its runs.

MLflow keeps the absolute addresses of files in its database: it would make the old folder anew, or write into the
folder that the copy was made from.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from benchbench.records.sqlite_addresses import quoted, sqlite_path

_FOLDER = "mlruns"
_COLUMNS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))


class Move(NamedTuple):
    """The addresses of an experiment's files: the one in the database, and the one where they are."""

    old: str
    new: str


def find_move(location: str, database: Path) -> Move | None:
    """Return where the files of an experiment were moved with their database, or None if they were not.

    They were if the folder that the database names is gone. They also were if they lie beside this database, and either
    no longer at the old address, or this database is a copy of the one there.
    """
    old = local_path(location)
    if old is None or old.parent.name != _FOLDER or old.parent.parent == database.parent:
        return None
    new = database.parent / _FOLDER / old.name
    is_gone = not old.parent.parent.is_dir()
    is_beside = new.is_dir() and (not old.is_dir() or (old.parent.parent / database.name).exists())
    return Move(location, quoted(new)) if is_gone or is_beside else None


def current_address(artifact_uri: str, tracking_uri: str, *, depth: int = 2) -> str:
    """Return where the files of a run are: its address, or the one to which they were moved with their database.

    They are ``depth`` folders below those of the experiment; the files of a model are three.
    """
    database = sqlite_path(tracking_uri)
    location, *rest = artifact_uri.rsplit("/", depth)
    move = find_move(location, database) if database is not None and rest else None
    return "/".join((move.new, *rest)) if move else artifact_uri


def follow_move(tracking_uri: str) -> str:
    """Put the new addresses of files into a database that was moved with them; return what was done, or ``""``."""
    database = sqlite_path(tracking_uri)
    if database is None or not database.exists():
        return ""
    with closing(sqlite3.connect(database)) as connection, connection:
        locations = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        moves = [(key, move) for key, location in locations if location and (move := find_move(location, database))]
        for experiment_id, (old, new) in moves:
            for table, column in _COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608 - our own names
                    f" WHERE experiment_id = ? AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                    (new, len(old) + 1, experiment_id, old, len(old) + 1, f"{old}/"),
                )
    if not moves:
        return ""
    folder = moves[0][1].old.rpartition(f"/{_FOLDER}/")[0]
    return f"this folder was moved or copied from {folder}: MLflow finds the files of its runs here from now on"


def local_path(address: str) -> Path | None:
    """Return the path of an address that MLflow takes for a local one; it unquotes those without a scheme as well."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(unquote(address)) if address.startswith("/") else None
