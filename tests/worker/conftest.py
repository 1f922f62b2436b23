"""The counter of a trial that runs in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchbench.protocol.shared_counter import SharedCounter


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[SharedCounter]:
    shared = SharedCounter(tmp_path / "counter")
    yield shared
    shared.close()
