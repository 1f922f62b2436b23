"""Files that a caller names with ``-o``: checked before any work is done, and written or refused with a reason."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_output(output: Path, *, example: str) -> None:
    """Raise :class:`~benchbench.errors.SpecError` for a file that cannot be written, before any work is done."""
    try:
        _check_kind(output, example)
    except OSError as error:  # a folder that one may not enter, or a name that is too long
        raise SpecError(f"-o: cannot look at {output}: {error.strerror}", hint="choose another file") from error
    if not os.access(output.parent, os.W_OK):
        raise SpecError(f"-o: the folder {output.parent} cannot be written to", hint="choose another file")


def _check_kind(output: Path, example: str) -> None:
    if output.is_dir():
        raise SpecError(f"-o {output} is a folder", hint=f"name a file in it, such as {output / example}")
    if output.exists() and not output.is_file():  # to replace a device would take it from every program
        raise SpecError(f"-o {output} is not a regular file", hint=f"name a file, such as {example}")
    if not output.parent.is_dir():
        raise SpecError(f"-o: there is no folder {output.parent}", hint="create it first, or choose another file")


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Raise :class:`~benchbench.errors.SpecError` if a file or folder cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        raise SpecError(
            f"{output} cannot be written: {error.strerror}",
            hint="free some space there, or choose another file or folder",
        ) from error
