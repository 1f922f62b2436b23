"""Says that it is stepped at a time that there is not."""

from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

import benchbench as bb


class Rates(bb.Scheduler, name="rates"):
    step_every: ClassVar[str] = "batches"  # type: ignore[assignment]

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return ConstantLR(optimizer)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    return [Rates]
