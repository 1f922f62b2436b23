"""Stopping on request: at once, or at the end of a short epoch if the epochs before it would be lost otherwise."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchbench.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.protocol.messages import OnStatus
    from benchbench.records.events import Epoch
    from benchbench.worker.train import BatchCounter

PATIENCE_SECONDS = 6.0
"""How long an epoch may still take after a request to stop. Docker kills 10 s after SIGTERM, Slurm after 30 s."""


class StopsLosingNothing:
    """Counts batches, and passes on a request to stop once that loses no finished epoch or would take too long."""

    def __init__(self, counter: BatchCounter, on_status: OnStatus) -> None:
        self._counter = counter
        self._on_status = on_status
        self._expected_end: float | None = None
        self._stop_at: float | None = None

    def restart(self, *, num_trained: int) -> None:
        """Count from here."""
        self._counter.restart(num_trained=num_trained)

    def trained(self) -> None:
        """Count a training batch; raises :class:`StoppedError` if training should end."""
        self._unless_postponed(self._counter.trained)

    def check(self) -> None:
        """Raise :class:`StoppedError` if training should end."""
        self._unless_postponed(self._counter.check)

    def is_stopping(self) -> bool:
        """Tell whether a stop was asked for."""
        try:
            self._counter.check()
        except StoppedError:
            return True
        return False

    def ended(self, epoch: Epoch, *, is_at_risk: bool) -> None:
        """Note the end of an epoch, and whether it would be lost if the next one were not trained to its end."""
        seconds = epoch.train_seconds + epoch.eval_seconds
        self._expected_end = time.monotonic() + seconds if is_at_risk else None
        self._stop_at = None

    def _unless_postponed(self, count: Callable[[], None]) -> None:
        try:
            count()
        except StoppedError:
            if not self._postpones():
                raise

    def _postpones(self) -> bool:
        now = time.monotonic()
        if self._stop_at is not None:  # the epoch may take longer than the last one did
            return now < self._stop_at
        if self._expected_end is None or self._expected_end - now > PATIENCE_SECONDS:
            return False
        self._stop_at = now + PATIENCE_SECONDS
        self._on_status("training to the end of this epoch, so that none is lost")
        return True
