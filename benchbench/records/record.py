"""Records: the events of a trial combined into one value.

:meth:`Record.of` can be called on any beginning of a journal.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError, with_config

from benchbench.config.spec import Spec
from benchbench.config.validation import describe_errors
from benchbench.records.events import (
    WORST_RANK,
    DataFacts,
    Epoch,
    EpochFinished,
    Error,
    Event,
    Failed,
    Final,
    Finished,
    Resumed,
    Started,
    Times,
)
from benchbench.records.json_adapter import json_adapter
from benchbench.records.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.records.events import Rank

FORMAT: Literal[2] = 2
"""Raise this when a change makes earlier records unreadable, for example a new key of the spec without a default."""

Status = Literal["running", "finished", "failed", "killed"]


class RecordError(ValueError):
    """A text that is no record; its message follows the text's name: ``is of format 1, and ...``."""


class OtherFormatError(RecordError):
    """A record that another version of benchbench wrote."""


@dataclass(frozen=True)
class MlflowRun:
    """Where a trial stands in MLflow; ``origin_id`` is the id of its run where it was made, if it was imported.

    ``name`` is empty if MLflow was not asked for it.
    """

    tracking_uri: str
    experiment_id: str
    run_id: str
    origin_id: Annotated[str, Field(exclude=True)] = ""
    name: Annotated[str, Field(exclude=True)] = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids that the run goes by."""
        return tuple(filter(None, (self.run_id, self.origin_id)))


@with_config(ser_json_inf_nan="strings")
@dataclass(frozen=True, kw_only=True, repr=False)
class Record:
    """The events of a trial as one value, whether it finished or not.

    ``machine`` is where it began, and ``resumed_on`` where it went on if that was not the same.
    """

    spec_id: str
    spec: Spec
    status: Status
    data_digest: str
    attempt: str
    started_ms: int
    ended_ms: int | None = None
    epochs: tuple[Epoch, ...] = ()
    final: Final | None = None
    times: Times | None = None
    error: Error | None = None
    notes: tuple[str, ...] = ()
    data: DataFacts
    machine: Machine
    resumed_on: tuple[Machine, ...] = ()
    acceleration: dict[str, str]
    num_parameters: int
    plugin_origins: dict[str, str]
    plugin_sources: dict[str, str]
    mlflow: MlflowRun | None = None
    format: Literal[2] = FORMAT

    def __str__(self) -> str:
        """Return the trial and its result in a line."""
        trial = f"{self.spec.model.name} on {self.spec.dataset.name}, seed {self.spec.seed}: {self.status}"
        if self.final is not None:
            return f"{trial}, test accuracy {self.final.test_accuracy:.1%}"
        return f"{trial}, {self.error.message}" if self.error else trial

    def __repr__(self) -> str:
        """Return the line: all fields would fill a screen."""
        return f"<{self}>"

    def _repr_html_(self) -> str:
        """Return the line for a notebook."""
        return f"<p>{html.escape(str(self))}</p>"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """Return every machine that the trial ran on, as often as it changed."""
        return (self.machine, *self.resumed_on)

    def has_epoch(self, epoch: Epoch) -> bool:
        """Tell whether the record has this epoch with the same results: a trial that was resumed repeats some."""
        return any(each.results == epoch.results for each in self.epochs[epoch.epoch - 1 : epoch.epoch])

    @property
    def rank(self) -> Rank:
        """Return what trials are ranked by; those without results come last."""
        return self.final.rank if self.final else WORST_RANK

    @staticmethod
    def of(events: Iterable[Event]) -> Record:
        """Fold events into a record; raises :class:`ValueError` unless the first is :class:`Started`."""
        events = iter(events)
        started = next(events, None)
        if not isinstance(started, Started):
            raise ValueError("a journal begins with 'started'")  # noqa: TRY004 - a file has it, not a caller
        record = Record(
            spec_id=started.spec.id,
            spec=started.spec,
            status="running",
            data_digest=started.data.digest,
            attempt=started.attempt,
            started_ms=started.timestamp_ms,
            data=started.data,
            machine=started.machine,
            acceleration=started.acceleration,
            num_parameters=started.num_parameters,
            plugin_origins=started.plugin_origins,
            plugin_sources=started.plugin_sources,
            notes=tuple(filter(None, (started.note,))),
        )
        for event in events:
            record = record.then(event)
        return record

    def then(self, event: Event) -> Record:
        """Return the record with one more event."""
        match event:
            case Resumed():
                notes = self._with_notes((event.note,))
                moved = () if event.machine == self.machines[-1] else (event.machine,)
                return replace(
                    self,
                    status="running",
                    error=None,
                    times=None,
                    ended_ms=None,
                    notes=notes,
                    resumed_on=(*self.resumed_on, *moved),
                )
            case EpochFinished() if not self.has_epoch(event.epoch):
                # Epochs of an earlier run that this one does not repeat exactly are not mixed with its own.
                return replace(self, epochs=(*self.epochs[: event.epoch.epoch - 1], event.epoch))
            case Finished():
                return replace(
                    self,
                    status="finished",
                    final=event.final,
                    times=event.times,
                    notes=self._with_notes(event.notes),
                    ended_ms=event.timestamp_ms,
                )
            case Failed():
                return replace(
                    self,
                    status=event.status,
                    error=event.error,
                    times=event.times,
                    notes=self._with_notes(event.notes),
                    ended_ms=event.timestamp_ms,
                )
            case _:
                return self

    def _with_notes(self, notes: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.notes, *filter(None, notes))))

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json_adapter(Record).dump_json(self, indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes) -> Record:
        """Return the record that :meth:`to_json` wrote; raises :class:`RecordError` for any other text."""
        try:
            written = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"is damaged: {error}") from error
        its_format = written.get("format") if isinstance(written, dict) else None
        if its_format != FORMAT:
            raise OtherFormatError(f"is of format {its_format!r}, and this benchbench reads format {FORMAT}")
        try:
            return json_adapter(Record).validate_json(text)
        except ValidationError as error:
            first, *others = error.errors(include_url=False)
            more = f", and {len(others)} more" if others else ""
            raise RecordError(f"is damaged: {describe_errors([first])}{more}") from error


def best(records: Iterable[Record]) -> Record | None:
    """Return the finished trial that is best by validation, or None if there is none."""
    finished = [record for record in records if record.status == "finished"]
    return max(finished, key=lambda record: record.rank, default=None)
