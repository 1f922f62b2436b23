"""When the next checkpoint of a trial is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from benchbench.worker.train import Learner

FRACTION_OF_TIME = 0.01
"""The fraction of the wall clock that writing checkpoints may cost, unless a cadence is asked for."""

LONGEST_UNTIL_FIRST_SECONDS = 60.0
"""When the first checkpoint is written at the latest: what it costs is not known before."""

BYTES_PER_SECOND = 250e6
"""What checkpoints are written with, as long as none has been measured; 200 to 260 MB/s on a loaded machine."""

STATES_PER_WEIGHT = 3
"""Numbers in a checkpoint for each weight: itself, and two of an optimizer such as Adam."""


class Cadence:
    """When the next checkpoint is due: ``every_seconds`` after the last, or, if that is None, when it costs little.

    The first is expected to cost ``first_cost_seconds``, and is due after a minute in any case. ``now`` is seconds on
    the trial's clock; only differences matter.
    """

    def __init__(self, every_seconds: float | None, *, first_cost_seconds: float) -> None:
        affordable = min(first_cost_seconds / FRACTION_OF_TIME, LONGEST_UNTIL_FIRST_SECONDS)
        self._is_fixed = every_seconds is not None
        self._interval = affordable if every_seconds is None else every_seconds
        self._last = 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether a checkpoint should be written at this end of an epoch."""
        return now - self._last >= self._interval

    def written(self, now: float, *, cost_seconds: float) -> None:
        """Take note of a checkpoint and of what it cost."""
        self._last = now
        if not self._is_fixed:
            self._interval = cost_seconds / FRACTION_OF_TIME


def expected_seconds(learner: Learner) -> float:
    """Return about how long writing a checkpoint may take, by the size of the model."""
    num_bytes = sum(value.nbytes for value in learner.model.state_dict().values() if isinstance(value, torch.Tensor))
    return STATES_PER_WEIGHT * num_bytes / BYTES_PER_SECOND
