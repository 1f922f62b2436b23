"""Tables of texts, and how they are written: as Markdown, LaTeX and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    """A table of texts with a title, and lines of text below it; ``numbers`` names the columns of numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


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
