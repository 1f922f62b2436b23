"""Which image files are damaged, as opposed to on a disk that failed, and the error that names all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from PIL import UnidentifiedImageError

from benchbench.data.split_arrays import readable
from benchbench.errors import DataError, counted, listed, plain
from benchbench.paths import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Problem = tuple[str, str]
    """The name of a file, and what is wrong with it."""

LIST_NAME = "damaged.txt"
"""In a dataset's folder: every file that could not be read, if there were more than a message names."""

MAX_NAMED = 20
"""How many damaged files a message names."""


def is_transient(cause: BaseException | None) -> bool:
    """Tell whether reading the file again may work: its disk or server failed, or too many files were open."""
    lasting = FileNotFoundError | PermissionError | IsADirectoryError
    # Of damaged files, Pillow raises these two, without a number.
    is_of_pillow = type(cause) in (OSError, UnidentifiedImageError) and getattr(cause, "errno", None) is None
    return isinstance(cause, OSError) and not is_of_pillow and not isinstance(cause, lasting)


def unreadable(
    problems: Sequence[Problem], *, hint: str = "repair them, or leave them out", list_path: Path | None = None
) -> DataError:
    """Return the error for files that cannot be read.

    If they are too many for its message, the file ``list_path`` lists them all; otherwise there is no such file.
    """
    named = listed([f"{file} ({text})" for file, text in problems], MAX_NAMED)
    if list_path and _is_listed(list_path, problems):
        named += f"; all are listed in {list_path}"
    return DataError(f"{counted(len(problems), 'image')} cannot be read: {named}", hint=hint)


def _is_listed(path: Path, problems: Sequence[Problem]) -> bool:
    """Write a line for each file, its path and what is wrong with it, if a message does not name them all."""
    lines = [
        "\t".join(plain(text).replace("\t", "\\t").replace("\n", "\\n") for text in problem) for problem in problems
    ]
    try:
        path.unlink(missing_ok=True)
        if len(problems) > MAX_NAMED:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, "".join(f"{line}\n" for line in readable(lines)))
    except OSError:  # the message itself is worth more
        return False
    return len(problems) > MAX_NAMED


def forget_list(path: Path) -> None:
    """Delete the list of files that could not be read, now that all can be."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
