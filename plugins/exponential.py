"""A learning rate that falls by the same factor after every epoch."""

from __future__ import annotations

from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

import benchbench as bb


class Exponential(bb.Scheduler, name="exponential"):
    """The learning rate is multiplied by ``gamma`` after every epoch."""

    depends_on_length: ClassVar[bool] = False

    gamma: float = bb.param(0.95, "factor of each epoch", gt=0, le=1)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.ExponentialLR`."""
        return ExponentialLR(optimizer, gamma=self.gamma)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the exponential rule."""
    return [Exponential]
