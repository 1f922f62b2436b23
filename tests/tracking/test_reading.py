"""Errors of a store, in one line that says what to do."""

from __future__ import annotations

import errno
import os
import re
import sqlite3

import pytest

from benchbench.errors import TrackingError
from benchbench.tracking import Store
from benchbench.tracking.reading import as_tracking_error


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("database or disk is full"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))],
)
def test_a_full_disk_is_no_store_of_another_version(error: Exception) -> None:
    with pytest.raises(TrackingError) as caught, as_tracking_error("cannot use the store", hint="mlflow db upgrade"):
        raise error
    assert caught.value.hint == "free some disk space, and run the same command again"


@pytest.mark.parametrize(
    ("scheme", "hint"),
    [
        ("postgresql", r"pip install .*psycopg.*, or write postgresql\+psycopg2?:// if you have psycopg2?$"),
        ("mysql", r"pip install mysqlclient, or write mysql\+pymysql:// if you have pymysql$"),
    ],
)
def test_a_database_whose_driver_is_not_installed_says_which_to_install(scheme: str, hint: str) -> None:
    with pytest.raises(TrackingError, match="No module named") as caught:
        Store.open(f"{scheme}://ann@127.0.0.1:1/mlflow")
    assert re.match(hint, caught.value.hint)
