"""The folder of our state."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from filelock import FileLock

from benchbench.errors import SpecError
from benchbench.records.calls import calling
from benchbench.records.state import locked


@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs a folder in which nobody can write, such as Linux's"
)
def test_a_folder_that_may_only_be_read_is_told_from_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STATE", "/sys/kernel/bench")
    with pytest.raises(SpecError, match="cannot be written") as caught, calling():
        pass
    assert "BENCH_STATE" in caught.value.hint


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)), NotImplementedError()])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(SpecError, match="has no locks") as caught, locked(tmp_path / "trials" / "lock"):
        pass
    assert "BENCH_STATE" in caught.value.hint
