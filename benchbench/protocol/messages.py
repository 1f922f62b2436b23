"""What the answers of a worker mean to the driver, whatever brought them here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchError
from benchbench.protocol.jobs import Resolved
from benchbench.protocol.timing import timing_event_from_plain
from benchbench.records.adapter import adapter
from benchbench.records.events import event_from_json

if TYPE_CHECKING:
    from benchbench.protocol.timing import TimingEvent
    from benchbench.records.events import Event


@dataclass(frozen=True)
class Status:
    """What a trial is busy with, for people to read."""

    text: str


@dataclass(frozen=True)
class Output:
    """A line that a worker or a plugin in it printed."""

    text: str


@dataclass(frozen=True)
class Refused:
    """A trial could not be started; ``traceback`` is where it was found."""

    error: BenchError
    traceback: str


@dataclass(frozen=True)
class Died:
    """The process that ran a trial is gone; ``reason`` says what is known."""

    reason: str


def understand(answer: dict[str, Any]) -> Event | Status | Output | Refused | None:
    """Return what an answer says of a trial, or None where it is about something else."""
    match answer["say"]:
        case "event":
            return event_from_json(json.dumps(answer["event"]))
        case "status":
            return Status(answer["text"])
        case "output":
            return Output(answer["text"])
        case "refused":
            return Refused(BenchError.from_json(answer["error"]), answer["traceback"])
    return None


def timing_of(answer: dict[str, Any]) -> TimingEvent | Status | Output | None:
    """Return what an answer says of a timing, or None where it is about something else; raises a refusal."""
    _raise_refusal(answer)
    if answer["say"] == "timing":
        return timing_event_from_plain(answer["event"])
    message = understand(answer)
    return message if isinstance(message, Status | Output) else None


def resolved_of(answer: dict[str, Any]) -> list[Resolved] | None:
    """Return the specs that an answer holds, or None where it is about something else; raises a refusal."""
    _raise_refusal(answer)
    return adapter(list[Resolved]).validate_python(answer["resolved"]) if answer["say"] == "resolved" else None


def _raise_refusal(answer: dict[str, Any]) -> None:
    if answer["say"] == "refused":
        error = BenchError.from_json(answer["error"])
        error.add_note(answer["traceback"])
        raise error
