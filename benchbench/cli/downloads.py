"""The bar that shows a download."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console


@contextmanager
def download_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be told the bytes that are here and the bytes that there will be.

    Nothing is shown until it is called for the first time, and no bar where the console is no terminal.
    """
    columns = ("downloading", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def show(num_bytes: int, total_bytes: int) -> None:
            if not progress.tasks:
                progress.add_task("download", total=total_bytes)
            progress.update(progress.tasks[0].id, completed=num_bytes)

        yield show
