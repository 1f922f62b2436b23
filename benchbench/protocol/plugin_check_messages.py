"""What the process that checks plugins is asked, and what it answers: one JSON object per line."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchbench.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

Result = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckOutcome:
    """What one check came to. ``fix`` says what to do about ``problem``; both are empty if it passed.

    ``note`` is what an author should know although it passed.
    """

    check: str
    result: Result
    problem: str = ""
    fix: str = ""
    traceback: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All checks of one plugin, such as ``model convnet``, or of one module."""

    subject: str
    origin: str
    outcomes: tuple[CheckOutcome, ...]

    @property
    def num_failed(self) -> int:
        """How many checks failed."""
        return sum(outcome.result == "failed" for outcome in self.outcomes)


def failures_text(reports: Iterable[Report]) -> str:
    """Return everything that is wrong, each with its fix, or "" if all checks passed."""
    lines: list[str] = []
    for report in reports:
        failed = [outcome for outcome in report.outcomes if outcome.result == "failed"]
        if failed:
            origin = f" ({report.origin})" if report.origin else ""
            lines.append(f"{report.subject}{origin} fails {counted(len(failed), 'check')}:")
            lines += [f"  {outcome.check}: {outcome.problem}\n    fix: {outcome.fix}" for outcome in failed]
    return "\n".join(lines)


class PluginNote(UserWarning):
    """What is worth knowing of a plugin that keeps its promises."""


def warn_of_notes(reports: Iterable[Report]) -> None:
    """Give a warning for each note, which pytest shows after the tests."""
    for report in reports:
        for outcome in report.outcomes:
            if outcome.note:
                warnings.warn(f"{report.subject}, {outcome.check}: {outcome.note}", PluginNote, stacklevel=3)


@dataclass(frozen=True)
class CheckedImages:
    """What the images are like with which models are checked: some models take no others."""

    image_size: int = 64
    num_channels: int = 3


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """Which plugins to check: those of these origins and, if ``names`` is not empty, of these names alone.

    ``files`` are plugin files. ``data`` has the paths of images by dataset, "" standing for all of them. ``images`` are
    for models.
    """

    origins: tuple[str, ...]
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    data: dict[str, str] | None = None
    images: CheckedImages = CheckedImages()


@dataclass(frozen=True)
class Progress:
    """One line of the answer: what is checked next, or a report, or at last that all is done."""

    checking: str = ""
    report: Report | None = None
    is_done: bool = False
