"""``bench``: the commands put together, and the one place that catches errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from benchbench.background import end_without_waiting
from benchbench.cli import (
    compare,
    data,
    doctor,
    grid,
    options,
    plugin,
    predict,
    report,
    run,
    runs,
    show,
    time,
    transfer,
)
from benchbench.cli import list as list_
from benchbench.cli.help_words import use_our_words
from benchbench.cli.startup import output_error, prepare_process
from benchbench.errors import BenchError, SpecError, TrialError, plain
from benchbench.paths import NO_ROOM
from benchbench.records.tracebacks import trace

if TYPE_CHECKING:
    from types import FrameType


class _Group(TyperGroup):
    """The top of ``bench``, which prints every error in one way: what is wrong, what to do, exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        options.offer_to_all(self)
        use_our_words(self)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BenchError as error:
            complain(error)
            sys.exit(error.exit_code)
        except typer.BadParameter as error:
            complain(_usage_error(error))
            sys.exit(SpecError.exit_code)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            complain(_full(error))
            sys.exit(TrialError.exit_code)
        except KeyboardInterrupt:
            _end_interrupted()


def make_app() -> typer.Typer:
    """Return the application with all commands of ours."""
    app = typer.Typer(
        name="bench",
        cls=_Group,
        help="Train image classifiers, and test whether one configuration is really better than another.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: the boxes cost 0.1 s, a third of the whole
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for module in (run, grid, time, runs, compare, report, predict, transfer, list_, show, data, plugin, doctor):
        module.register(app)
    return app


def main() -> None:
    """Run ``bench``; it exits with 0 all well, 1 a trial failed, 2 wrong usage or input, 130 interrupted."""
    prepare_process(_interrupt)
    app = make_app()
    # Before commands of plugins are added:
    options.leave_out_plugins(options.NO_PLUGINS in sys.argv[1:])
    options.show_tracebacks(options.DEBUG_FLAG in sys.argv[1:])
    try:
        _add_plugin_commands(app, sys.argv[1:])
    except BenchError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _end_interrupted()
    try:
        app()
    except SystemExit as end:
        end.code = _with_output(end.code)
        if isinstance(end.code, int | None):  # not a text to be printed
            end_without_waiting(end.code or 0)
        raise


def _end_interrupted() -> NoReturn:
    typer.echo("interrupted", err=True)
    sys.exit(options.EXIT_CODES["killed"])


def _full(error: OSError) -> TrialError:
    """Return the error to show for a full disk, wherever it occurred."""
    trial_error = TrialError(
        f"{error.filename or 'a file'} cannot be written: {error.strerror}",
        hint="free some disk space, also for temporary files (TMPDIR), and run the same command again",
    )
    trial_error.__cause__ = error
    return trial_error


def _with_output(code: str | int | None) -> str | int | None:
    """Return the exit code; report a failure if the output could not all be written, as on a full disk."""
    error = output_error()
    if error is None:
        return code
    typer.echo(f"error: standard output cannot be written: {error.strerror}", err=True)
    return code or options.EXIT_CODES["failed"]


def complain(error: BenchError) -> None:
    """Print an error to standard error: what is wrong, what to do, and with ``--debug`` where it was raised."""
    trace(error)
    typer.echo(f"error: {plain(error.message)}", err=True)
    for line in error.hint.splitlines():
        typer.echo(f"  {plain(line)}", err=True)


def _usage_error(error: typer.BadParameter) -> SpecError:
    """Return what typer says of an option or argument as an error of ours."""
    command = error.ctx.command_path if error.ctx else "bench"
    return SpecError(error.format_message().replace("Value error, ", ""), hint=f"{command} --help")


def _root(
    *, version: options.Version = False, debug: options.Debug = False, no_plugins: options.NoPlugins = False
) -> None:
    """Show help; the options here go before the command."""


def _add_plugin_commands(app: typer.Typer, arguments: list[str]) -> None:
    """Add the commands of plugins: for help if the plugins are known already, and for a command that is not ours."""
    ours = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    if word in ours:
        return
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.discovery import loose_files

    try:
        catalog = Catalog.read(loose_files()) if word else Catalog.kept(loose_files())
    except BenchError:
        if word:
            raise
        return  # help must still work, so that users can find out what is wrong
    if catalog is None or not catalog.commands:
        return
    from benchbench.plugin.failures import explain
    from benchbench.plugin.registry import Registry

    registry = Registry.load(loose_files(), only=catalog.commands)
    for origin, add_commands in registry.commands:
        try:
            add_commands(app=app)
        except Exception as error:  # noqa: BLE001 - one bad plugin never breaks the rest
            trace(error)
            typer.echo(f"broken: {origin}: benchbench_commands: {explain(error)}; bench doctor", err=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a handler
    raise KeyboardInterrupt
