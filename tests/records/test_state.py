"""The folder of our state."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbench.errors import SpecError
from benchbench.records.calls import calling


@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs a folder in which nobody can write, such as Linux's"
)
def test_a_folder_that_may_only_be_read_is_told_from_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STATE", "/sys/kernel/bench")
    with pytest.raises(SpecError, match="cannot be written") as caught, calling():
        pass
    assert "BENCH_STATE" in caught.value.hint
