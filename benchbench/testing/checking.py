"""Runs checks one by one, and reports all that fail, so that an author sees every problem at once."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchbench.errors import BenchError
from benchbench.plugin.code import source_files
from benchbench.plugin.failures import TRACEBACK_HINT, line_in_plugin, text_and_line
from benchbench.protocol.plugin_check_messages import CheckOutcome, Report, failures_text, warn_of_notes
from benchbench.worker.failed_layer import failed_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchbench.plugin.base import Plugin

Subject = TypeVar("Subject")


class BrokenPromiseError(AssertionError):
    """Something that a plugin does not do as it must; ``fix`` says what its author can do."""

    def __init__(self, problem: str, *, fix: str = "") -> None:
        super().__init__(problem)
        self.fix = fix


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A check by its name. Without what it ``needs`` it makes no sense, and ``function`` may return a note."""

    name: str
    function: Callable[[Subject], str | None]
    needs: tuple[Check[Any], ...] = ()


def check(*, needs: tuple[Check[Any], ...] = ()) -> Callable[[Callable[[Subject], str | None]], Check[Subject]]:
    """Make a check of a function that raises for what is wrong; its name is that of the function."""

    def made(function: Callable[[Subject], str | None]) -> Check[Subject]:
        return Check(function.__name__.replace("_", " "), function, needs)

    return made


def require(is_so: bool, problem: str, *, fix: str) -> None:  # noqa: FBT001 - read as a sentence
    """Raise :class:`BrokenPromiseError` with the problem and its fix unless something is so."""
    if not is_so:
        raise BrokenPromiseError(problem, fix=fix)


def outcomes(
    checks: Iterable[Check[Subject]], subject: Subject, plugin: Plugin | None = None
) -> Iterator[CheckOutcome]:
    """Yield what each check of a subject comes to. Those that need one that failed are skipped."""
    missing: set[str] = set()
    for item in checks:
        reason = next((need.name for need in item.needs if need.name in missing), "")
        outcome = (
            CheckOutcome(item.name, "skipped", f"it needs: {reason}") if reason else _outcome(item, subject, plugin)
        )
        if outcome.result != "passed":
            missing.add(item.name)
        yield outcome


def _outcome(item: Check[Subject], subject: Subject, plugin: Plugin | None) -> CheckOutcome:
    try:
        note = item.function(subject)
    except BrokenPromiseError as error:
        return CheckOutcome(item.name, "failed", str(error), error.fix)
    except BenchError as error:
        fix = _fix_of(error.message) if error.hint in ("", TRACEBACK_HINT) else error.hint
        return CheckOutcome(item.name, "failed", error.message, fix, _traceback(error.__cause__))
    except SystemExit as error:
        problem = f"it ends Python (exit code {error.code or 0}){line_in_plugin(error)}"
        return CheckOutcome(item.name, "failed", problem, "raise an error instead", _traceback(error))
    except Exception as error:  # noqa: BLE001 - the plugin's code is a stranger's
        own = source_files(type(plugin)) if plugin is not None else ()
        text, line = text_and_line(error, own)
        problem = f"{text}{failed_layer(error)}{line}"
        return CheckOutcome(item.name, "failed", problem, _fix_of(problem), _traceback(error))
    return CheckOutcome(item.name, "passed", note=note or "")


def _fix_of(problem: str) -> str:
    return next((f"see that {name}" for name in ("line", "layer") if f" {name} " in problem), TRACEBACK_HINT)


def _traceback(error: BaseException | None) -> str:
    return "".join(traceback.format_exception(error)) if error is not None else ""


def raise_failures(subject: str, done: Iterable[CheckOutcome]) -> None:
    """Raise one AssertionError that names every check that failed, with its fix, or else warn of notes."""
    reports = [Report(subject, "", tuple(done))]
    failures = failures_text(reports)
    if failures:
        raise AssertionError(failures)
    warn_of_notes(reports)
