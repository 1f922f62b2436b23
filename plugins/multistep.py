"""A learning rate that falls after chosen epochs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

import benchbench as bb


class MultiStep(bb.Scheduler, name="multistep"):
    """The learning rate is multiplied by ``gamma`` after each of the epochs in ``milestones``."""

    depends_on_length: ClassVar[bool] = False

    milestones: tuple[Annotated[int, Field(ge=1)], ...] = bb.param(
        (30, 60, 80), "epochs after which the rate is reduced"
    )
    gamma: float = bb.param(0.1, "factor by which each step multiplies the learning rate", gt=0, le=1)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.MultiStepLR`."""
        return MultiStepLR(optimizer, milestones=self.milestones, gamma=self.gamma)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the rule with several steps."""
    return [MultiStep]
