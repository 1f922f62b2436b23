"""The results of the benchmarks as rows of one table: ours, another's, and the ratio of both."""

from __future__ import annotations

import io
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchbench.compare.contrasts import Contrast, contrast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95
COLUMNS = ("what", "ours", "against", "theirs", "ratio [95 %]", "n", "minimum", "goal")
WIDTH = 300
"""Wide enough for any row: Markdown has no broken lines."""

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Aim:
    """The ratios that are asked for: ``minimum`` is the least that will do, ``goal`` what is hoped for."""

    minimum: float
    goal: float


@dataclass(frozen=True)
class Row:
    """Both sides of one comparison, round by round: the first of ours goes with the first of theirs.

    Seconds or bytes: less is better, so the ratio is theirs divided by ours.
    """

    measured: str
    against: str
    ours: Sequence[float]
    theirs: Sequence[float]
    unit: Literal["s", "MiB"] = "s"
    aim: Aim | None = None

    @property
    def ratio(self) -> Contrast:
        """Return the geometric mean of the pairs' ratios, with Student's t interval of their logarithms."""
        ours, theirs = (
            {str(number): value for number, value in enumerate(values)} for values in (self.ours, self.theirs)
        )
        return contrast(theirs, ours, as_ratio=True, confidence=CONFIDENCE)

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row."""
        ratio = self.ratio
        minimum, goal = (self.aim.minimum, self.aim.goal) if self.aim else (None, None)
        return (
            self.measured,
            self._values(self.ours),
            self.against,
            self._values(self.theirs),
            _ratio(ratio),
            str(len(self.ours)),
            _judged(minimum, ratio),
            _judged(goal, ratio),
        )

    def _values(self, values: Sequence[float]) -> str:
        middle, least, most = (self._number(value) for value in (median(values), min(values), max(values)))
        spread = f" ({least} .. {most})" if len(values) > 1 else ""
        return f"{middle} {self.unit}{spread}"

    def _number(self, value: float) -> str:
        return f"{value / MEBIBYTE:.0f}" if self.unit == "MiB" else f"{value:.3g}"


@dataclass(frozen=True)
class NotRun:
    """A comparison that could not be made here, and why."""

    measured: str
    why: str

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row; a minimum that was not tried is not shown."""
        return (self.measured, "", "", "", f"not run: {self.why}", "", "", "")


def markdown(rows: Iterable[Row | NotRun]) -> str:
    """Return the rows as a table in Markdown."""
    return table(COLUMNS, [row.cells() for row in rows])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return cells as a table in Markdown."""
    drawn = Table(box=box.MARKDOWN, pad_edge=True)
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for cells in rows:
        drawn.add_row(*map(Text, cells))
    lines = io.StringIO()
    Console(file=lines, width=WIDTH).print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in lines.getvalue().splitlines() if line.strip())


def _ratio(ratio: Contrast) -> str:
    if ratio.interval is None:
        return f"{ratio.estimate:.2f}"
    return f"{ratio.estimate:.2f} [{ratio.interval.low:.2f}, {ratio.interval.high:.2f}]"


def _judged(bound: float | None, ratio: Contrast) -> str:
    """Return a bound and whether it is reached, with a question mark if other rounds might say otherwise."""
    if bound is None:
        return ""
    word = "reached" if ratio.estimate >= bound else "missed"
    is_open = ratio.interval is None or bound in ratio.interval
    return f"{bound:.2f} {word}{'?' if is_open else ''}"
