"""Tracebacks of errors that cost only a note: printed if ``--debug`` or ``BENCH_DEBUG`` asks for them."""

from __future__ import annotations

import os
import sys
import traceback

from benchbench.records.redaction import without_credentials

DEBUG = "BENCH_DEBUG"
"""The variable by which a driver tells its workers too."""


def is_debugging() -> bool:
    """Tell whether tracebacks are asked for."""
    return bool(os.environ.get(DEBUG))


def full_text(error: BaseException) -> str:
    """Return a traceback without credentials: MLflow's errors contain the full address of a server."""
    return without_credentials("".join(traceback.format_exception(error)))


def trace(error: BaseException) -> None:
    """Print the traceback of an error that is passed over to standard error, if tracebacks are asked for."""
    if is_debugging():
        print(full_text(error), end="", file=sys.stderr)  # noqa: T201 - as the interpreter prints it
