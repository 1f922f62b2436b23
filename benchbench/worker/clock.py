"""Where the time of a trial goes: phases that add up to the wall clock, whatever happens in them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchbench.records.events import PHASES, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.records.events import Phase


class Clock:
    """A stopwatch that is always in exactly one phase, ``other`` unless it is told another.

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
        self._seconds: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._phase: Phase = "other"
        self._since = now()
        self.first_epoch_train_seconds = 0.0
        self.failed_phase: Phase | None = None

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Count the time inside the block as ``phase``.

        If the block raises, or the device fails in it, ``failed_phase`` is this phase afterwards.
        """
        before = self._switch(phase)
        try:
            yield
        except BaseException:
            self.failed_phase = phase
            self._switch(before, is_failing=True)
            raise
        try:
            self._switch(before)
        except BaseException:
            self.failed_phase = phase
            raise

    def add(self, times: Times) -> None:
        """Add the times that a resumed trial took before."""
        for phase in self._seconds:
            self._seconds[phase] += getattr(times, phase)
        self.first_epoch_train_seconds = times.first_epoch_train

    def seconds(self, phase: Phase) -> float:
        """Return the seconds of a phase so far; of the current phase, those up to its last border."""
        return self._seconds[phase]

    def times(self, *, is_failing: bool = False) -> Times:
        """Return the seconds of all phases until now; ``is_failing``: without waiting for a device that has failed."""
        self._switch(self._phase, is_failing=is_failing)
        return Times(
            **self._seconds,
            wall=sum(self._seconds.values()),
            first_epoch_train=self.first_epoch_train_seconds,
        )

    def _switch(self, phase: Phase, *, is_failing: bool = False) -> Phase:
        try:
            # A device that has failed raises whenever it is waited for, and would hide the error that came first.
            if not is_failing:
                self._synchronize()
        finally:
            now = self._now()
            self._seconds[self._phase] += now - self._since
            before, self._phase, self._since = self._phase, phase, now
        return before
