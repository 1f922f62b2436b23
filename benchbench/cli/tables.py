"""Tables on standard output, the same for all commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

WIDTH_WITHOUT_TERMINAL = 160


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    unbroken: Collection[str] = (),
) -> None:
    """Print rows of texts below the names of their columns.

    Columns in ``numbers`` are aligned to the right; those in ``unbroken`` are never broken into lines.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", justify=justify, no_wrap=column in unbroken)
    for row in rows:
        # As Text, since a text such as [0, 1] would be taken for markup.
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False).print(table)
