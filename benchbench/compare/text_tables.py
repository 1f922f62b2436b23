"""Tables of texts, and how they are written: as Markdown, LaTeX and CSV."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

Item = TypeVar("Item")

_MARKDOWN = str.maketrans({"|": r"\|", "*": r"\*"})
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "<": "$<$", ">": "$>$"}
    # After a \midrule or a \\, a bracket would begin its optional argument, even on the next line.
    | {"[": "{[}", "]": "{]}"}
)


@dataclass(frozen=True)
class TextTable:
    """A table of texts with a title, and lines of text below it; ``numbers`` names the columns of numbers.

    In a terminal that is too narrow, texts in ``unbroken`` columns are still not broken into lines, and columns of
    ``gives_way`` stand below the table, the first of them first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    _: KW_ONLY
    below: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    unbroken: tuple[str, ...] = ()
    gives_way: tuple[str, ...] = ()

    def without(self, left_out: Collection[str]) -> TextTable:
        """Return the table without some columns."""
        kept = [number for number, column in enumerate(self.columns) if column not in left_out]
        return replace(
            self,
            columns=tuple(self.columns[number] for number in kept),
            rows=tuple(tuple(row[number] for number in kept) for row in self.rows),
            gives_way=tuple(column for column in self.gives_way if column not in left_out),
        )


@dataclass(frozen=True)
class Column(Generic[Item]):
    """A column of a table with a row for each item: its heading, and the text of an item's cell.

    It holds numbers if ``is_number``; one that is ``left_out_if_empty`` is only there if any cell has a text. What
    ``is_unbroken`` and ``gives_way`` mean in a narrow terminal, :class:`TextTable` says.
    """

    heading: str
    cell: Callable[[Item], str]
    is_number: bool = False
    left_out_if_empty: bool = False
    is_unbroken: bool = False
    gives_way: bool = False


def table_of(
    title: str, columns: Iterable[Column[Item]], items: Sequence[Item], below: tuple[str, ...] = ()
) -> TextTable:
    """Return a table with a row for each item, in their order."""
    shown = [column for column in columns if not column.left_out_if_empty or any(map(column.cell, items))]
    return TextTable(
        title,
        tuple(column.heading for column in shown),
        tuple(tuple(column.cell(item) for column in shown) for item in items),
        below=below,
        numbers=tuple(column.heading for column in shown if column.is_number),
        unbroken=tuple(column.heading for column in shown if column.is_unbroken),
        gives_way=tuple(column.heading for column in shown if column.gives_way),
    )


def to_markdown(table: TextTable) -> str:
    """Return a table as Markdown, with its title above and its lines below."""
    below = "".join(f"\n{line}\n" for line in table.below)
    return f"**{table.title}**\n\n{markdown_rows(table.columns, table.rows)}\n{below}"


def markdown_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows below their columns as Markdown."""
    lines = (columns, *rows)
    head, *body = (f"| {' | '.join(cell.translate(_MARKDOWN) for cell in line)} |" for line in lines)
    return "\n".join((head, f"|{' --- |' * len(columns)}", *body))


def to_latex(table: TextTable) -> str:
    """Return a table as LaTeX that needs the package booktabs; title and lines become its caption."""
    import pandas as pd

    columns = [latex_text(column) for column in table.columns]
    frame = pd.DataFrame([[latex_text(cell) for cell in row] for row in table.rows], columns=columns)
    caption = latex_text(" ".join((f"{table.title}.", *table.below)))
    return str(frame.to_latex(index=False, caption=caption, column_format="l" * len(columns)))


def latex_text(text: str) -> str:
    """Return a text that LaTeX prints as it is."""
    return text.translate(_LATEX)


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return flat rows as CSV. What is not known is empty."""
    import pandas as pd

    # As objects, since pandas would turn whole numbers beside an empty cell into 3.0.
    return str(pd.DataFrame(list(rows), dtype=object).to_csv(index=False, lineterminator="\n"))
