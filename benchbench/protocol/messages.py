"""The messages between the driver and its workers, and how they are written and read.

The driver sends requests. A worker answers each of them: :class:`Resolve` with :class:`ResolvedSpecs`,
:class:`RunTrial` with one :class:`TrialEvent` after another, :class:`TimeVariants` with one :class:`TimingUpdate`
after another, and any of them with :class:`Refused`. A :class:`Status` or an :class:`Output` may come at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias, assert_never, cast

from pydantic import Field

from benchbench.config.spec import Draft
from benchbench.errors import BenchError
from benchbench.protocol.jobs import Resolved, TimingJob, TrialJob
from benchbench.protocol.timing_messages import TimingEvent
from benchbench.records.events import Error, Event
from benchbench.records.json_adapter import json_adapter


@dataclass(frozen=True)
class Resolve:
    """Load plugins and return what the drafts mean; a worker must do this before it runs or times anything.

    ``data_roots`` are the files or folders of the images, by dataset. Of all plugins only those of ``origins`` are
    loaded, unless that is None. A worker without the ``device`` refuses: what the first worker of a call has, all have.
    """

    drafts: tuple[Draft, ...]
    data_roots: Mapping[str, str]
    plugin_files: tuple[str, ...]
    origins: tuple[str, ...] | None
    device: str = "auto"
    message: Literal["resolve"] = "resolve"


@dataclass(frozen=True)
class RunTrial:
    """Run a trial."""

    job: TrialJob
    message: Literal["run trial"] = "run trial"


@dataclass(frozen=True)
class TimeVariants:
    """Time variants."""

    job: TimingJob
    message: Literal["time variants"] = "time variants"


@dataclass(frozen=True)
class ResolvedSpecs:
    """What the drafts of a :class:`Resolve` mean, in their order, and the worker's ``device``: cpu, cuda or mps."""

    resolved: tuple[Resolved, ...]
    device: str
    message: Literal["resolved specs"] = "resolved specs"


@dataclass(frozen=True)
class TrialEvent:
    """What happened in a trial."""

    event: Event
    message: Literal["trial event"] = "trial event"


@dataclass(frozen=True)
class TimingUpdate:
    """What happened in a timing."""

    event: TimingEvent
    message: Literal["timing update"] = "timing update"


@dataclass(frozen=True)
class Status:
    """What a worker is busy with, for people to read; of ``total`` pieces, ``done`` are done, if it counts them."""

    text: str
    done: int = 0
    total: int = 0
    message: Literal["status"] = "status"


@dataclass(frozen=True)
class Output:
    """A line that a worker, or a plugin in it, printed."""

    text: str
    message: Literal["output"] = "output"


@dataclass(frozen=True)
class Refused:
    """A request could not be carried out, or a trial not be started."""

    reason: Error
    message: Literal["refused"] = "refused"

    @staticmethod
    def of(error: BenchError, traceback: str) -> Refused:
        """Return the refusal for an error."""
        return Refused(Error(**error.to_json(), traceback=traceback))

    @property
    def error(self) -> BenchError:
        """The error to raise or to show, with the traceback as its note."""
        return self.reason.to_exception()


@dataclass(frozen=True)
class Retiring:
    """The worker will end after the trial that it has: its device no longer works."""

    message: Literal["retiring"] = "retiring"


@dataclass(frozen=True)
class Died:
    """The process that ran a trial is gone. An executor says this: the process itself no longer can.

    ``is_requested``: the executor ended it, since it was asked to.
    """

    reason: str
    is_requested: bool = False


class OnStatus(Protocol):
    """What a worker calls to say what it is busy with."""

    def __call__(self, text: str, done: int = 0, total: int = 0, /) -> None:
        """Say it; the numbers are those of :class:`Status`."""


def no_status(text: str, done: int = 0, total: int = 0, /) -> None:
    """Say nothing."""


Request = Resolve | RunTrial | TimeVariants
Answer = ResolvedSpecs | TrialEvent | TimingUpdate | Status | Output | Refused | Retiring
Message = Annotated[Request | Answer, Field(discriminator="message")]
TrialMessage: TypeAlias = Event | Status | Output | Refused | Died
"""What an executor tells of a trial."""


def about_trial(answer: Answer) -> TrialMessage | None:
    """Return what an answer says about the trial that its worker has, or None if it is about something else."""
    match answer:
        case TrialEvent():
            return answer.event
        case Status() | Output() | Refused():
            return answer
        case ResolvedSpecs() | TimingUpdate() | Retiring():
            return None
        case _:
            assert_never(answer)


def encode(message: Request | Answer) -> str:
    """Return a message as one line of JSON, without a line break at its end."""
    text = json.dumps(_adapter().dump_python(message, mode="json"), ensure_ascii=False)
    # A text may name a file whose name is no UTF-8. Python holds such bytes as surrogates, which JSON does not allow.
    return text.encode("utf-8", "replace").decode()


def decode(line: str | bytes) -> Request | Answer:
    """Return the message that :func:`encode` wrote."""
    message: Request | Answer = _adapter().validate_json(line)
    return message


def _adapter() -> Any:
    return json_adapter(cast("type[Message]", Message))
