"""The learning rate: a scheduler, when it is stepped, and the warm-up."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from benchbench.records.events import Epoch


class WarmUp:
    """A factor of the learning rate that rises linearly to 1 over the first ``num_steps`` steps.

    P. Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2. The factor holds during a step only, so that
    schedulers, many of which compute a rate from the one before, never see it.
    """

    def __init__(self, num_steps: int = 0) -> None:
        self._num_steps = num_steps
        self._num_taken = 0

    @property
    def factor(self) -> float:
        """What the rate of the next step is multiplied by."""
        return min(1.0, (self._num_taken + 1) / self._num_steps) if self._num_steps else 1.0

    def go_to(self, num_taken: int) -> None:
        """Go to where the trial is after so many steps."""
        self._num_taken = num_taken

    @contextmanager
    def step(self, optimizer: Optimizer) -> Iterator[None]:
        """Lower the learning rates of all groups while a step is taken in this context."""
        factor = self.factor
        self._num_taken += 1
        if factor == 1:
            yield
            return
        rates = [group["lr"] for group in optimizer.param_groups]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        try:
            yield
        finally:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


@dataclass(frozen=True)
class Schedule:
    """A scheduler, when it is stepped, the epoch metric that it is given, if any, and the warm-up."""

    scheduler: LRScheduler | ReduceLROnPlateau
    step_every: Literal["epoch", "batch"] = "epoch"
    metric: str | None = None
    warm_up: WarmUp = field(default_factory=WarmUp)

    def after_batch(self) -> None:
        """Step a scheduler that counts batches."""
        if self.step_every == "batch":
            self.scheduler.step()  # type: ignore[call-arg]

    def after_epoch(self, epoch: Epoch) -> None:
        """Step a scheduler that counts epochs."""
        if self.metric is not None:
            self.scheduler.step(getattr(epoch, self.metric))
        elif self.step_every == "epoch":
            self.scheduler.step()  # type: ignore[call-arg]
