"""Files that are named with -o."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchbench.driver.output_files import check_output
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for output in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "report.html"):
        with pytest.raises(SpecError, match=r"-o: cannot look at .*: File name too long"):
            check_output(output, example="report.html")
