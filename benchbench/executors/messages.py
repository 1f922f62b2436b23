"""What the answers of a worker mean to the driver, whatever brought them here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchError
from benchbench.executors import Output, Refused, Stage
from benchbench.order import Resolved
from benchbench.record import adapter, event_from_json

if TYPE_CHECKING:
    from benchbench.record import Event


def understand(answer: dict[str, Any]) -> Event | Stage | Output | Refused | None:
    """Return what an answer says of a trial, or None where it is about something else."""
    match answer["say"]:
        case "event":
            return event_from_json(json.dumps(answer["event"]))
        case "stage":
            return Stage(answer["text"])
        case "output":
            return Output(answer["text"])
        case "refused":
            return Refused(BenchError.from_json(answer["error"]), answer["traceback"])
    return None


def resolved_of(answer: dict[str, Any]) -> list[Resolved] | None:
    """Return the specs that an answer holds, or None where it is about something else; raises a refusal."""
    if answer["say"] == "refused":
        error = BenchError.from_json(answer["error"])
        error.add_note(answer["traceback"])
        raise error
    return adapter(list[Resolved]).validate_python(answer["resolved"]) if answer["say"] == "resolved" else None
