"""Tables and lines of text: to read, for a paper, and as data."""

from __future__ import annotations

import itertools
import json
import math
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Literal

import typer
from pydantic_core import to_jsonable_python

from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.driver.watcher import Watcher
from benchbench.errors import plain
from benchbench.records.run_ids import short_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from benchbench.compare.text_tables import TextTable
    from benchbench.records.record import MlflowRun

WIDTH_WITHOUT_TERMINAL = 160
FOLDED_WIDTH = 24
"""Paths are folded into lines of at least this many characters."""
WIDE = 30
"""Sentences in a narrower column take too many lines."""


class Notes(Watcher):
    """Prints notes on standard error, for commands that show nothing else while they work."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def note(self, text: str) -> None:
        """Print it, once."""
        if text not in self._told:
            self._told.add(text)
            typer.echo(plain(text), err=True)


def next_command(command: str, experiment: str, grid: Path | None) -> str:
    """Return a command such as ``bench report rates --grid rates.toml``; a default experiment is left out."""
    named = [experiment] if experiment != DEFAULT_EXPERIMENT else []
    return shlex.join(["bench", command, *named, *(["--grid", str(grid)] if grid else [])])


def predict_command(run: MlflowRun, experiment: str) -> str:
    """Return the command that classifies images with the model of a run; a default experiment is left out."""
    option = f" --experiment {shlex.quote(experiment)}" if experiment != DEFAULT_EXPERIMENT else ""
    return f"bench predict {short_id(run.run_id)} IMAGES{option}"


def how_to_resume(*, fresh: bool) -> str:
    """Return how to repeat a command that was interrupted, so that it resumes."""
    return "without --fresh, to resume" if fresh else "again, to resume"


def terminal_width() -> int | None:
    """Return the width of the terminal, or None if standard output is not a terminal."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else None


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    unbroken: Collection[str] = (),
    folded: Collection[str] = (),
) -> None:
    """Print rows of texts below the names of their columns.

    Columns in ``numbers`` are aligned to the right; their texts and those in ``unbroken`` are never broken into lines,
    and those in ``folded`` also within words. In a terminal that is too narrow for the words of the others, each row
    is a list of its values.
    """
    from rich.console import Console

    rows = list(rows)
    table = _rich_table(columns, rows, numbers, unbroken)
    width = terminal_width()
    console = Console(width=width or WIDTH_WITHOUT_TERMINAL, highlight=False)
    if width and not _fit(table, [columns, *rows], width, whole={*numbers, *unbroken}, folded=folded):
        _print_lists(console, columns, rows)
    else:
        console.print(table)


def _rich_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str], unbroken: Collection[str]
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", justify=justify, no_wrap=column in unbroken)
    for row in rows:
        # As Text, since a text such as [0, 1] would be taken for markup.
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def _fit(
    table: Table,
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    whole: Collection[str],
    folded: Collection[str] = (),
    wide: Collection[str] = (),
) -> bool:
    """Make the columns narrow enough for a terminal; False if it would have to break words.

    Columns in ``whole`` keep their texts in one line, those in ``folded`` may break words, and those in ``wide`` are
    not to become narrow.
    """
    from rich.cells import cell_len
    from rich.console import Console

    columns = list(zip(*rows, strict=True))
    most = [max(map(cell_len, column)) for column in columns]
    # A console as wide as the terminal would report at most the width of the terminal.
    natural = Console(width=sum(most) + 1000).measure(table).maximum
    if natural <= width:
        return True
    least = []
    for heading, *texts in columns:
        words = heading.split() + (texts if heading in whole else [word for text in texts for word in text.split()])
        longest = max(map(cell_len, words), default=0)
        if heading in folded:
            longest = min(longest, FOLDED_WIDTH)
        least.append(max(longest, min(WIDE, max(map(cell_len, texts), default=0))) if heading in wide else longest)
    spare = width - (natural - sum(most)) - sum(least)
    if spare < 0:
        return False
    # Columns that need little get all of it, so that long sentences take what is left.
    needs = sorted(zip(table.columns, least, most, strict=True), key=lambda need: need[2] - need[1])
    for number, (column, low, high) in enumerate(needs):
        column.no_wrap = False  # of a heading; the texts have all the width that they need
        column.width = low + min(high - low, spare // (len(needs) - number))
        spare -= column.width - low
    return True


def _print_lists(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print each row as lines of a column's name and its value, without those that are empty."""
    from rich.table import Table
    from rich.text import Text

    for row in rows:
        console.print()
        lines = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            if value:
                lines.add_row(Text(name), Text(plain(value)))
        console.print(lines)


def print_tables(tables: Iterable[TextTable], below: Sequence[str], form: str) -> None:
    """Print tables as ``table``, ``markdown`` or ``latex``, and the lines below all of them."""
    from benchbench.compare.text_tables import to_latex, to_markdown

    texts = {"markdown": to_markdown, "latex": to_latex}
    for table in tables:
        if form in texts:
            typer.echo(plain(texts[form](table)))
        else:
            _print_text_table(table)
    print_lines(below, form)


def print_heading(text: str, form: str, *, is_first: bool) -> None:
    """Print the heading of a part of the output."""
    lines = (f"## {text}",) if form == "markdown" else (text, "=" * len(text))
    print_lines((*(() if is_first else ("",)), *lines, ""), form)


def print_lines(lines: Iterable[str], form: str) -> None:
    """Print lines of text, which in LaTeX are comments. In a terminal they break between words."""
    from benchbench.compare.text_tables import latex_text

    width = terminal_width() if form == "table" else None
    for line in map(plain, lines):
        texts = _wrapped(line, width) if width and len(line) > width else [line]
        for text in texts:
            typer.echo(f"% {latex_text(text)}" if form == "latex" else text)


def _wrapped(line: str, width: int) -> list[str]:
    """Return the lines of a sentence, none of which ends within a word or path, or before a per cent sign."""
    texts = textwrap.wrap(line.replace(" %", "\u00a0%"), width, break_on_hyphens=False, break_long_words=False)
    return [text.replace("\u00a0", " ") for text in texts]


def print_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows of the same keys as CSV."""
    from benchbench.compare.text_tables import to_csv

    typer.echo(to_csv(rows), nl=False)


def print_json(data: object) -> None:
    """Print plain data as JSON; numbers that are not finite become texts, as in records."""
    # In ASCII, which every terminal and pipe takes. Pydantic alone refuses names of files that are not valid Unicode.
    typer.echo(json.dumps(_finite(data), indent=2, default=to_jsonable_python, allow_nan=False))


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if not isinstance(data, float) or math.isfinite(data):
        return data
    return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"


def _print_text_table(table: TextTable) -> None:
    width = terminal_width()
    below = _columns_below(table, width) if width else ()
    shown = table.without(below)
    print_lines((table.title,), "table")
    print_table(shown.columns, shown.rows, numbers=table.numbers, unbroken=table.unbroken)
    print_lines((*_lines_below(table, below), *table.below, ""), "table")


def _columns_below(table: TextTable, width: int) -> tuple[str, ...]:
    """Return the columns for which a terminal has no room beside the others, if it has room without them."""
    whole = {*table.numbers, *table.unbroken}
    for number in range(len(table.gives_way) + 1):
        below = table.gives_way[:number]
        shown = table.without(below)
        rich_table = _rich_table(shown.columns, shown.rows, table.numbers, table.unbroken)
        if _fit(rich_table, [shown.columns, *shown.rows], width, whole=whole, wide=shown.gives_way):
            return below
    return ()


def _lines_below(table: TextTable, columns: Collection[str]) -> Iterator[str]:
    """Yield a line for each row with its texts of some columns, such as ``adam: paired t; better (p = 0.03)``."""
    others = (*table.numbers, *table.unbroken, *columns)
    names = list(itertools.takewhile(lambda column: column not in others, table.columns))
    for row in table.rows:
        texts = "; ".join(text for column, text in zip(table.columns, row, strict=True) if column in columns and text)
        if texts:
            first, *more = row[: len(names)]
            yield f"{' '.join(filter(None, (first.removesuffix(' *'), *more)))}: {texts}"
