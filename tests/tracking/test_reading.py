"""Errors of a store, in one line that says what to do."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from benchbench.errors import TrackingError
from benchbench.tracking.reading import as_tracking_error


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("database or disk is full"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))],
)
def test_a_full_disk_is_no_store_of_another_version(error: Exception) -> None:
    with pytest.raises(TrackingError) as caught, as_tracking_error("cannot use the store", hint="mlflow db upgrade"):
        raise error
    assert caught.value.hint == "free some disk space, and run the same command again"
