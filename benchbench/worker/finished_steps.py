"""Counts training steps when they are finished, not when they are queued: a GPU may be a hundred steps behind."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class Event(Protocol):
    """A point in the work of a device, such as :class:`torch.cuda.Event`."""

    def record(self) -> object:
        """Set the point behind all that is queued."""

    def query(self) -> bool:
        """Tell whether the device has reached the point, without waiting for it."""


class FinishedSteps:
    """Calls ``count`` for each training step that a device has finished. It never waits for the device."""

    def __init__(self, count: Callable[[], None], new_event: Callable[[], Event] | None = None) -> None:
        """Without ``new_event`` a step is finished as soon as it is queued."""
        self._count = count
        self._new_event = new_event
        self._queued: deque[Event] = deque()

    @staticmethod
    def on(device: torch.device, count: Callable[[], None]) -> FinishedSteps:
        """Count the steps of this device."""
        events: dict[str, Callable[[], Event]] = {"cuda": torch.cuda.Event, "mps": torch.mps.Event}
        return FinishedSteps(count, events.get(device.type))

    def queued(self) -> None:
        """Note a step that was queued, and count those that have finished since."""
        if self._new_event is None:
            self._count()
            return
        event = self._new_event()
        event.record()
        self._queued.append(event)
        while self._queued and self._queued[0].query():
            self._queued.popleft()
            self._count()

    def end(self) -> None:
        """Count all steps that are left; the device must have finished them."""
        while self._queued:
            self._queued.popleft()
            self._count()
