"""What can go wrong, and what to do about it.

::

    BenchError            a message and a hint; caught in one place, ``benchbench.cli.main``
    |-- PluginError       no such plugin, or one that cannot be loaded
    |-- SpecError         a parameter, option or TOML file that cannot be understood
    |-- DataError         images that are missing, damaged or unsafe to read
    |-- DeviceError       a device or precision that this machine does not have
    |-- ModelError        a model that does not fit the data
    |-- TrackingError     MLflow's store cannot be used
    `-- TrialError        a trial that was started and did not finish (exit code 1)

Every class but :class:`TrialError` stands for wrong usage or input, found before training (exit code 2).
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class BenchError(Exception):
    """An error that a user can act upon.

    ``message`` says what is wrong and where, ``hint`` what to do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def in_one_line(self) -> str:
        """The message, and the hint in parentheses, for a place with room for a line."""
        hint = "; ".join(self.hint.splitlines())
        return f"{self.message} ({hint})" if hint else self.message

    def to_json(self) -> dict[str, str]:
        """Return the error as plain data, to be sent to another process."""
        return {"kind": type(self).__name__, "message": self.message, "hint": self.hint}

    @staticmethod
    def from_json(data: dict[str, str]) -> BenchError:
        """Return the error that :meth:`to_json` described."""
        classes: list[type[BenchError]] = [BenchError, *BenchError.__subclasses__()]
        kinds = {kind.__name__: kind for kind in classes}
        # Classes that are declared elsewhere, where torch is, say more exactly why a trial failed.
        return kinds.get(data["kind"], TrialError)(data["message"], hint=data["hint"])


class PluginError(BenchError):
    """A plugin that does not exist or cannot be loaded."""


class SpecError(BenchError):
    """A parameter, option or TOML file that cannot be understood."""


class DataError(BenchError):
    """Images that are missing, damaged or unsafe to read."""


class DeviceError(BenchError):
    """A device or precision that this machine does not have."""


class ModelError(BenchError):
    """A model that does not fit the data."""


class TrackingError(BenchError):
    """MLflow's store cannot be used."""


class RunningElsewhereError(BenchError):
    """A trial that another call is training now."""


class TrialError(BenchError):
    """A trial that was started and did not finish."""

    exit_code: ClassVar[int] = 1


class StoppedError(TrialError):
    """The trial was asked to stop."""


class CheckpointError(TrialError):
    """A checkpoint that cannot be written, or cannot be used."""


class WorkerDiedError(TrialError):
    """The worker of the trial ended before the trial did."""


class DriverDiedError(TrialError):
    """The process that ran the trial ended without a word."""


def error_text(error: BaseException) -> str:
    """Return the message of an error of ours, or the type and message of any other error."""
    return error.message if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]


def listed(texts: Sequence[str], limit: int) -> str:
    """Return the first of several texts, and how many more there are: ``a, b, and 7 more``."""
    more = f", and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def counted(number: int, one: str, many: str = "") -> str:
    """Return such as ``1 epoch`` or ``1,200 epochs``; ``many`` is what follows other numbers, if not ``one`` and s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the known word nearest to ``word``, or ``""``.

    For ``lr`` that is ``optimizer.lr``.
    """
    words = list(known)
    longer = [name for name in words if name.endswith(f".{word}")]
    matches = longer[:1] or difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {matches[0]!r}?" if matches else ""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def plain(text: str) -> str:
    """Return a text without control characters: a name that somebody else chose could move the cursor with them."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
