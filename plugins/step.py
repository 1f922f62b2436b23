"""A learning rate that falls in steps."""

from __future__ import annotations

from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

import benchbench as bb


class Step(bb.Scheduler, name="step"):
    """The learning rate is multiplied by ``gamma`` after every ``step_size`` epochs."""

    depends_on_length: ClassVar[bool] = False

    step_size: int = bb.param(30, "epochs between two steps", ge=1)
    gamma: float = bb.param(0.1, "factor by which each step multiplies the learning rate", gt=0, le=1)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.StepLR`."""
        return StepLR(optimizer, step_size=self.step_size, gamma=self.gamma)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the step rule."""
    return [Step]
