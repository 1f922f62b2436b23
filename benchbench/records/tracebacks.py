"""Tracebacks of errors, printed if ``--debug`` or ``BENCH_DEBUG`` asks for them."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from benchbench import variables
from benchbench.records.redaction import without_credentials


def is_debugging() -> bool:
    """Tell whether tracebacks are asked for."""
    return bool(os.environ.get(variables.DEBUG))


def full_text(error: BaseException) -> str:
    """Return a traceback without credentials: MLflow's errors contain the full address of a server."""
    return without_credentials("".join(traceback.format_exception(error)))


def trace(error: BaseException) -> None:
    """Print the traceback of an error to standard error, if tracebacks are asked for and there is one."""
    if is_debugging() and sys.stderr is not None:
        with suppress(OSError, ValueError):  # a terminal that is gone, or a closed file
            print(full_text(error), end="", file=sys.stderr)  # noqa: T201 - as the interpreter prints it
