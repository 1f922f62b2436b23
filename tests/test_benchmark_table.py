"""The table that ``make bench`` writes: what it says of a ratio, and where it is put."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks import page
from benchmarks.ratios import COLUMNS, Aim, NotRun, Row, markdown

if TYPE_CHECKING:
    from pathlib import Path

OURS, THEIRS = (50.0, 52.0, 51.0), (102.0, 103.0, 101.0)


def cell(row: Row | NotRun, name: str) -> str:
    return row.cells()[COLUMNS.index(name)]


def test_the_ratio_is_theirs_by_ours_so_that_above_one_ours_is_better() -> None:
    row = Row("epoch", "plain loop", OURS, THEIRS)
    ratio = row.ratio
    assert ratio.interval is not None
    assert ratio.interval.low < 2.0 < ratio.interval.high
    assert cell(row, "ratio [95 %]").startswith("2.00 [1.9")
    assert cell(row, "ours") == "51 s (50 .. 52)"
    assert cell(row, "n") == "3"


@pytest.mark.parametrize(
    ("bound", "said"), [(1.5, "1.50 reached"), (2.0, "2.00 reached?"), (2.01, "2.01 missed?"), (2.5, "2.50 missed")]
)
def test_a_minimum_is_reached_or_missed_and_open_where_the_interval_holds_it(bound: float, said: str) -> None:
    row = Row("epoch", "plain loop", OURS, THEIRS, aim=Aim(minimum=bound, goal=9.0))
    assert cell(row, "minimum") == said
    assert cell(row, "goal") == "9.00 missed"


def test_one_round_gives_no_interval_and_decides_nothing() -> None:
    row = Row("epoch", "plain loop", (50.0,), (150.0,), aim=Aim(minimum=2.0, goal=4.0))
    assert cell(row, "ratio [95 %]") == "3.00"
    assert (cell(row, "minimum"), cell(row, "goal")) == ("2.00 reached?", "4.00 missed?")
    assert cell(row, "ours") == "50 s"


def test_memory_is_shown_in_mebibytes() -> None:
    assert cell(Row("peak memory", "plain loop", (2**30,), (2**31,), "MiB"), "ours") == "1024 MiB"


def test_the_table_has_a_line_for_each_row_and_says_why_one_was_not_run() -> None:
    text = markdown([Row("epoch", "plain loop", OURS, THEIRS), NotRun("bf16 epoch", "no such instructions")])
    head, rule, first, second = text.splitlines()
    assert [name.strip() for name in head.strip("|").split("|")] == list(COLUMNS)
    assert set(rule) <= set("|-: ")
    assert "plain loop" in first
    assert "not run: no such instructions" in second
    assert {line.count("|") for line in text.splitlines()} == {len(COLUMNS) + 1}


def page_with(folder: Path, *sections: str) -> Path:
    path = folder / "page.md"
    marked = [f"{page.BEGIN.format(instructions=name)}\nold\n{page.END}\n" for name in sections]
    path.write_text(f"before\n{''.join(marked)}after\n", encoding="utf-8")
    return path


def written(path: Path, *rows: Row | NotRun, instructions: str = "AVX2", measured: str = "today, here") -> str:
    page.update(path, rows, instructions=instructions, measured=measured, below="below")
    return path.read_text(encoding="utf-8")


def test_rows_are_written_into_the_table_of_these_processors_alone(tmp_path: Path) -> None:
    path = page_with(tmp_path, "AVX512", "AVX2")
    text = written(path, Row("epoch", "plain loop", OURS, THEIRS))
    before, table = text.split(page.BEGIN.format(instructions="AVX2"))
    assert before == f"before\n{page.BEGIN.format(instructions='AVX512')}\nold\n{page.END}\n"
    assert "plain loop" in table
    assert table.endswith(f"below\n\n{page.END}\nafter\n")
    assert "old" not in table


def test_rows_that_are_not_measured_again_keep_their_day_and_machine(tmp_path: Path) -> None:
    path = page_with(tmp_path, "AVX2")
    first = [Row("epoch", "plain loop", OURS, THEIRS), Row("epoch", "Lightning", OURS, THEIRS)]
    written(path, *first, measured="yesterday, there")
    text = written(path, Row("epoch", "plain loop", THEIRS, OURS), Row("memory", "plain loop", OURS, THEIRS))
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [line.split("|")[-2].strip() for line in lines] == ["today, here", "yesterday, there", "today, here"]
    assert "102 s (101 .. 103)" in lines[0]


def test_a_row_that_cannot_be_measured_here_replaces_none_that_was(tmp_path: Path) -> None:
    path = page_with(tmp_path, "AVX2")
    missing = NotRun("bf16 epoch", "no such instructions")
    assert "no such instructions" in written(path, missing)
    text = written(path, Row("bf16 epoch", "plain loop", OURS, THEIRS))
    assert "no such instructions" not in text
    assert written(path, missing) == text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = page_with(tmp_path, "AVX512")
    before = path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the marks"):
        written(path, Row("epoch", "plain loop", OURS, THEIRS))
    assert path.read_text(encoding="utf-8") == before
