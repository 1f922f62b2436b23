"""A learning rate that never changes."""

from __future__ import annotations

from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

import benchbench as bb


class Constant(bb.Scheduler, name="constant"):
    """The learning rate stays what the optimizer set."""

    depends_on_length: ClassVar[bool] = False

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return a scheduler that multiplies by one."""
        return ConstantLR(optimizer, factor=1.0, total_iters=0)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the constant rate."""
    return [Constant]
