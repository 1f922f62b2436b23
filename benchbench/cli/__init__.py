"""The command line ``bench``: one module for each group of commands. Nothing heavy is imported to show help."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import typer

from benchbench.cli import data, doctor, options, plugins, run
from benchbench.errors import BenchError

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130


def make_app() -> typer.Typer:
    """Return the application with all commands of ours."""
    app = typer.Typer(
        name="bench",
        help="Is this model, optimizer or batch size really better, and what does it cost?",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for module in (run, plugins, data, doctor):
        module.register(app)
    return app


def main() -> NoReturn:
    """Run ``bench`` and exit: 0 all well, 1 a trial failed, 2 wrong usage or input, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        make_app()(standalone_mode=True)
    except BenchError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - rich may not be imported yet
        sys.exit(INTERRUPTED)
    sys.exit(0)


def complain(error: BenchError) -> None:
    """Print an error to standard error: what is wrong, what to do, and with ``--debug`` where it was raised."""
    if options.debug:
        traceback.print_exception(error)
    print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)  # noqa: T201


def _root(
    *,
    version: options.Version = False,
    debug: options.Debug = False,
) -> None:
    """Show help; the options here go before the command."""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
