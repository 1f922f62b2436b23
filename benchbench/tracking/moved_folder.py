"""A folder that was moved or copied, with a database in it and the files of its runs.

MLflow keeps absolute file addresses in its database: after a move it would create the old folder again, and after a
copy it would write into the original.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from benchbench.records.sqlite_addresses import quoted, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow.entities import Run

_FOLDER = "mlruns"
_COLUMNS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))


class Move(NamedTuple):
    """The addresses of an experiment's files: the one in the database, and the one where they are."""

    old: str
    new: str


def find_move(location: str, database: Path) -> Move | None:
    """Return where the files of an experiment were moved with their database, or None if they were not.

    They were if they lie beside this database, and either no longer at the old address, or this database is a copy of
    the one there.
    """
    old = _other_folder(location, database)
    if old is None:
        return None
    new = database.parent / _FOLDER / old.name
    is_moved = new.is_dir() and (_is_gone(old) or _is_there(old.parent.parent / database.name))
    return Move(location, quoted(new)) if is_moved else None


def _other_folder(location: str, database: Path) -> Path | None:
    """Return the folder of an experiment's files if it belongs beside a database, and that is another one."""
    old = local_path(location)
    if old is None or old.parent.name != _FOLDER or old.parent.parent.resolve() == database.parent.resolve():
        return None
    return old


def _is_gone(folder: Path) -> bool:
    """Tell whether a folder is not there; one that may not be looked at is."""
    try:
        return not folder.is_dir()
    except OSError:
        return False


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return False


def _find_new_place(location: str, database: Path) -> Move | None:
    """Return where new runs can put their files if the folder of an experiment is gone, with all that was in it."""
    old = _other_folder(location, database)
    if old is None or not _is_gone(old.parent.parent):
        return None
    return Move(location, quoted(database.parent / _FOLDER / old.name))


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
        rows = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        locations = [(key, location) for key, location in rows if location]
        moves = [(key, move) for key, location in locations if (move := find_move(location, database))]
        for experiment_id, move in moves:
            _readdress(connection, experiment_id, move, _COLUMNS)
        moved = {key for key, _ in moves}
        gone = [
            (key, move)
            for key, location in locations
            if key not in moved and (move := _find_new_place(location, database))
        ]
        for experiment_id, move in gone:
            # Not of runs: their files may come back, with a disk that is not mounted now.
            _readdress(connection, experiment_id, move, _COLUMNS[:1])
    if moves:
        before = _folder_of(moves)
        return f"this folder was moved or copied from {before}: MLflow finds the files of its runs here from now on"
    if gone:
        return f"{_folder_of(gone)} is not there: the files of new runs go to {database.parent / _FOLDER}"
    return ""


def _folder_of(moves: Sequence[tuple[str, Move]]) -> str:
    (_, first), *_ = moves
    return first.old.rpartition(f"/{_FOLDER}/")[0]


def follow_run(tracking_uri: str, run: Run) -> None:
    """Give a run that is about to be written to a place for its files if the folder that it had is gone."""
    database = sqlite_path(tracking_uri)
    if database is None:
        return
    location, *rest = run.info.artifact_uri.rsplit("/", 2)
    move = _find_new_place(location, database) if rest else None
    if move is None:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        _readdress(connection, run.info.experiment_id, move, _COLUMNS[1:2], run_id=run.info.run_id)


def _readdress(
    connection: sqlite3.Connection,
    experiment_id: str,
    move: Move,
    columns: Iterable[tuple[str, str]],
    *,
    run_id: str | None = None,
) -> None:
    """Put new addresses into these columns, of all runs of an experiment or of one."""
    old, new = move
    of_run, values = ("", ()) if run_id is None else (" AND run_uuid = ?", (run_id,))
    for table, column in columns:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608 - our own names
            f" WHERE experiment_id = ? AND ({column} = ? OR substr({column}, 1, ?) = ?){of_run}",
            (new, len(old) + 1, experiment_id, old, len(old) + 1, f"{old}/", *values),
        )


def local_path(address: str) -> Path | None:
    """Return the path of an address that MLflow takes for a local one; it unquotes those without a scheme as well."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(unquote(address)) if address.startswith("/") else None
