"""Does not take what build() is given."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

import benchbench as bb


class Rates(bb.Scheduler, name="rates"):
    def build(self, optimizer: Optimizer) -> LRScheduler:  # type: ignore[override]
        return ConstantLR(optimizer)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    return [Rates]
