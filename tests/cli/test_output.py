"""Tables in terminals of any width."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest

from benchbench.cli.output import print_json, print_lines, print_table, print_tables
from benchbench.compare.text_tables import TextTable

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("optimizer.lr", "mean ± std (n)", "difference [95 %]", "verdict")
ROWS = (("0.001", "53.0 ± 3.6 (n=3)", "", "baseline"), ("0.005 *", "63.0 ± 3.0 (n=3)", "+10.00", "better (p = 0.0033)"))


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[[], list[str]]]:
    """Make standard output a terminal of a width, and give what returns its lines."""

    def of_width(width: int) -> Callable[[], list[str]]:
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        return lambda: re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()

    return of_width


def test_in_a_terminal_that_is_much_too_narrow_each_row_is_a_list(
    terminal: Callable[[int], Callable[[], list[str]]],
) -> None:
    lines = terminal(40)
    print_table(COLUMNS, ROWS)
    assert max(map(len, lines())) <= 40
    texts = [" ".join(line.split()) for line in lines()]
    assert texts[-4:] == [
        "optimizer.lr 0.005 *",
        "mean ± std (n) 63.0 ± 3.0 (n=3)",
        "difference [95 %] +10.00",
        "verdict better (p = 0.0033)",
    ]
    # What is empty is left out.
    assert sum("difference" in text for text in texts) == 1


def test_columns_of_numbers_are_aligned_to_the_right_whatever_they_are_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = (("a", "9.8", "short"), ("b", "1,209.5", "much longer"))
    print_tables([TextTable("title", ("name", "score", "meaning"), rows, numbers=("score",))], (), "table")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip(" ─")]
    assert [line.rstrip() for line in lines[1:]] == [
        " name     score   meaning",
        " a          9.8   short",
        " b      1,209.5   much longer",
    ]


def test_in_a_terminal_that_is_wide_enough_rows_stay_rows(terminal: Callable[[int], Callable[[], list[str]]]) -> None:
    lines = terminal(80)
    print_table(COLUMNS, ROWS)
    assert any("0.005 *" in line and "better (p = 0.0033)" in line for line in lines())


COMPARED = TextTable(
    "test accuracy (%)",
    ("augmentation", "mean ± std (n)", "95 % of the mean", "difference [95 %]", "test", "verdict"),
    (
        ("flip *", "31.5 ± 3.2 (n=3)", "24.1 .. 39.9", "", "", "baseline"),
        (
            "trivial_augment",
            "27.8 ± 2.8 (n=3)",
            "20.9 .. 34.7",
            "-3.70 [-17.09, +9.69]",
            "paired t, r = -0.50",
            "not distinguishable (p = 0.36); about 11 seeds would show it",
        ),
    ),
    numbers=("mean ± std (n)", "95 % of the mean"),
    unbroken=("difference [95 %]",),
    gives_way=("test", "verdict"),
)


def test_numbers_stay_whole_in_80_columns_and_the_verdicts_stand_below(
    terminal: Callable[[int], Callable[[], list[str]]],
) -> None:
    lines = terminal(80)
    print_tables([COMPARED], ["as published"], "table")
    text = "\n".join(lines())
    assert max(map(len, lines())) <= 80
    for cell in ("31.5 ± 3.2 (n=3)", "24.1 .. 39.9", "-3.70 [-17.09, +9.69]"):
        assert cell in text
    assert "flip: baseline" in lines()
    below = " ".join(text[text.index("trivial_augment: ") :].split())
    sentence = "paired t, r = -0.50; not distinguishable (p = 0.36); about 11 seeds would show it"
    assert below == f"trivial_augment: {sentence} as published"


def test_the_line_of_a_row_has_its_names_alone_and_no_star(terminal: Callable[[int], Callable[[], list[str]]]) -> None:
    table = TextTable(
        "test accuracy (%)",
        ("optimizer", "lr", "difference [95 %]", "seeds", "verdict"),
        (("adam *", "0.001", "-3.70 [-17.09, +9.69]", "5 pairs", "not distinguishable (p = 0.36); " + "more " * 9),),
        unbroken=("difference [95 %]",),
        gives_way=("verdict",),
    )
    lines = terminal(60)
    print_tables([table], (), "table")
    assert any(line.startswith("adam 0.001: not distinguishable") for line in lines())


def test_a_comparison_in_a_pipe_has_all_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables([COMPARED], (), "table")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() and line.split()[-2:] == ["test", "verdict"] for line in lines)
    assert not any(line.startswith("flip:") for line in lines)


def test_one_long_path_is_folded_and_the_other_rows_stay_lines(
    terminal: Callable[[int], Callable[[], list[str]]],
) -> None:
    lines = terminal(80)
    rows = [("mlruns/1/" + "e0" * 40 + "/accuracy.png", "apples", "98.1%"), ("a.png", "pears", "51.0%")]
    print_table(("image", "prediction", "probability"), rows, numbers=("probability",), folded=("image",))
    assert max(map(len, lines())) <= 80
    assert any(line.split() == ["a.png", "pears", "51.0%"] for line in lines())
    text = "".join(line.split()[0] for line in lines() if line.split())
    assert "0" + "e0" * 4 in text
    assert "accuracy.png" in text


def test_a_list_shows_long_paths_to_their_end(terminal: Callable[[int], Callable[[], list[str]]]) -> None:
    lines = terminal(40)
    print_table(("check", "problem"), [("logits", "(/site-packages/" + "torch/" * 10 + "linear.py)")])
    assert "linear.py)" in "".join(line[9:].strip() for line in lines())


def test_sentences_break_between_words(terminal: Callable[[int], Callable[[], list[str]]]) -> None:
    lines = terminal(30)
    print_lines(("optimizer.lr=0.005 is 10.0 points more accurate than the other.",), "table")
    assert lines() == ["optimizer.lr=0.005 is 10.0", "points more accurate than the", "other."]


def test_options_and_paths_in_sentences_stay_whole(terminal: Callable[[int], Callable[[], list[str]]]) -> None:
    lines = terminal(30)
    print_lines(("decoded copies are in /home/ann/.cache/benchbench/decoded-image; see --checkpoint-every",), "table")
    assert lines() == ["decoded copies are in", "/home/ann/.cache/benchbench/decoded-image;", "see --checkpoint-every"]


def refuse(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def test_json_has_no_numbers_that_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"chances": (0.5, math.inf, -math.inf), "none": {"value": np.float64("nan")}, "name": "gr\udcfcn.png"})
    printed = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert printed == {
        "chances": [0.5, "Infinity", "-Infinity"],
        "none": {"value": "NaN"},
        "name": "gr\udcfcn.png",
    }
