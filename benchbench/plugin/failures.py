"""Describes errors in a plugin's own code in one sentence, with the plugin, its file and the line."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchbench.errors import BenchError, DataError, ModelError, PluginError, first_line
from benchbench.plugin.code import source_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchbench.plugin.base import Plugin

    Function = Callable[..., object]

Returned = TypeVar("Returned")

_ERRORS: dict[str, type[BenchError]] = {"dataset": DataError, "model": ModelError}
_OURS = Path(__file__).parents[1]
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))

TRACEBACK_HINT = "--debug shows the whole traceback"


def _never(_: Exception) -> bool:
    return False


def _not_known(_: Exception) -> str:
    return ""


@contextmanager
def failures_named(
    plugin: Plugin,
    action: str = "",
    *,
    method: str = "",
    within: Callable[[Exception], str] = _not_known,
    unless: Callable[[Exception], bool] = _never,
) -> Iterator[None]:
    """Turn whatever the plugin's code raises into an error that says what it did.

    It failed ``action``, such as "on two images", or in a method of its own. ``within`` may say where exactly, such as
    in which layer. Our own errors pass, and those for which ``unless`` is true.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # a plugin may raise anything
        if unless(error):
            raise
        text, line = text_and_line(error, source_files(type(plugin)))
        if not line:  # it could not even be called, as with other arguments than ours
            line = line_of(getattr(plugin, method, None))
        raise failure(plugin, f"failed {action or f'in {method}()'}: {text}{within(error)}{line}") from error


def forward_of(module: object) -> Function | None:
    """Return the function that computes what a module of torch's returns, or None if it is TorchScript, not Python."""
    return getattr(type(module), "forward", None)


def check_returned(value: object, expected: type[Returned], *, plugin: Plugin, function: Function | None) -> Returned:
    """Return the value that a function of the plugin returned, or raise an error if it is not what it must be.

    Without a function, it is the ``forward()`` of a module.
    """
    if isinstance(value, expected):
        return value
    name = f"{function.__name__ if function else 'forward'}()"
    returned = f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
    problem = (
        f"{name} returns nothing; is a return statement missing?"
        if value is None
        else f"{name} must return a {_public_name(expected)}, not {returned}"
    )
    raise failure(plugin, f"{problem}{line_of(function)}", hint="")


def _public_name(cls: type) -> str:
    """Return such as ``torch.optim.Optimizer``: the shortest path that the class can be imported from."""
    parts = cls.__module__.split(".")
    paths = (".".join(parts[:length]) for length in range(1, len(parts)))
    known = (path for path in paths if getattr(sys.modules.get(path), cls.__name__, None) is cls)
    return f"{next(known, cls.__module__)}.{cls.__name__}"


def failure(plugin: Plugin, problem: str, *, hint: str = TRACEBACK_HINT) -> BenchError:
    """Return the error for a plugin of this kind: ``model 'tiny': problem``."""
    separator = " " if problem.startswith("failed") else ": "
    message = f"{plugin.kind} {plugin.name!r}{separator}{problem}"
    return _ERRORS.get(plugin.kind, PluginError)(message, hint=hint)


def explain(error: BaseException, own_files: Iterable[Path] = ()) -> str:
    """Return an exception in one line, with the last file and line of the plugin's own code, if that led to it."""
    return "".join(text_and_line(error, own_files))


def text_and_line(error: BaseException, own_files: Iterable[Path]) -> tuple[str, str]:
    """Return an exception in one line, and `` (file, line 3)``: the last line of the plugin's own code, or ""."""
    if isinstance(error, BenchError):
        return error.message, ""
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{type(error).__name__}: {error.msg}", _line(error.filename, error.lineno)
    if isinstance(error, SystemExit):
        text = f"ends Python (exit code {error.code}) instead of loading"
    else:
        text = ": ".join(filter(None, [type(error).__name__, first_line(error)]))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_outside(frame.filename)]
    own = [frame for frame in frames if Path(frame.filename) in own_files or not _is_library(frame.filename)]
    return text, _line_of_last(own or [frame for frame in frames if not _is_of_torch(frame.filename)])


def line_in_plugin(error: BaseException) -> str:
    """Return `` (file, line 3)``: the last line of a plugin that led to an error, or "" if none did.

    Without knowing the plugin, it is the last line that is neither ours, nor of the standard library, nor of torch.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_outside(frame.filename)]
    own = [frame for frame in frames if not _is_library(frame.filename)]
    foreign = [frame for frame in frames if not _is_of_torch(frame.filename)]
    outside = [frame for frame in foreign if not Path(frame.filename).is_relative_to(_STANDARD_LIBRARY)]
    return _line_of_last(own or outside)


def _line_of_last(frames: Sequence[traceback.FrameSummary]) -> str:
    return "".join(_line(frame.filename, frame.lineno) for frame in frames[-1:])


def _is_outside(file_name: str) -> bool:
    """Tell whether a line is neither ours nor of the machinery that imports and checks plugins."""
    path = Path(file_name)
    machinery = {"importlib", "pluggy", "pydantic", "_pytest"}.intersection(path.parts)
    return not machinery and not file_name.startswith("<") and not path.is_relative_to(_OURS)


def _is_library(file_name: str) -> bool:
    path = Path(file_name)
    return bool({"site-packages", "dist-packages"}.intersection(path.parts)) or path.is_relative_to(_STANDARD_LIBRARY)


def _is_of_torch(file_name: str) -> bool:
    """Tell whether a line is torch's or numpy's, which says little about the plugin."""
    return bool({"torch", "numpy"}.intersection(Path(file_name).parts))


def line_of(function: Function | None) -> str:
    """Return `` (file, line 3)``: where a function is written, or "" if it has no file."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function else None
    return _line(code.co_filename, code.co_firstlineno) if code else ""


def _line(file_name: str, line: int | None) -> str:
    """Return `` (file, line 3)``, the file as seen from the working folder if it lies in it."""
    path = Path(file_name)
    shown = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path
    return f" ({shown}, line {line})"
