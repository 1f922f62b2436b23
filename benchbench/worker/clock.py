"""Where the time of a trial goes: phases that add up to the wall clock, whatever happens in them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from benchbench.records.events import Times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Phase = Literal["load", "train", "eval", "checkpoint", "other"]


class Clock:
    """A stopwatch that is always in exactly one phase, ``other`` unless told.

    ``synchronize`` waits for the device and is called at phase borders only: work that was queued in a phase is
    counted in it, and nothing waits inside the batch loop. ``now`` is in seconds.
    """

    def __init__(
        self,
        synchronize: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronize = synchronize
        self._now = now
        self._seconds: dict[Phase, float] = dict.fromkeys(("load", "train", "eval", "checkpoint", "other"), 0.0)
        self._phase: Phase = "other"
        self._since = now()
        self.first_epoch_train_seconds = 0.0

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Count the time inside the block to ``phase``."""
        before = self._switch(phase)
        try:
            yield
        finally:
            self._switch(before)

    def add(self, times: Times) -> None:
        """Count what was measured before, by a trial that is resumed."""
        for phase in self._seconds:
            self._seconds[phase] += getattr(times, phase)
        self.first_epoch_train_seconds = times.first_epoch_train

    def seconds(self, phase: Phase) -> float:
        """Return what was counted to a phase so far; the current phase up to its last border."""
        return self._seconds[phase]

    def times(self) -> Times:
        """Return the seconds of all phases up to this moment."""
        self._switch(self._phase)
        return Times(
            **self._seconds,
            wall=sum(self._seconds.values()),
            first_epoch_train=self.first_epoch_train_seconds,
        )

    def _switch(self, phase: Phase) -> Phase:
        self._synchronize()
        now = self._now()
        self._seconds[self._phase] += now - self._since
        before, self._phase, self._since = self._phase, phase, now
        return before
