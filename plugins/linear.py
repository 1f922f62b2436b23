"""A learning rate that falls along a line."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import benchbench as bb


class Linear(bb.Scheduler, name="linear"):
    """The learning rate decays linearly to ``end_factor`` times its start; updated after every batch."""

    step_every: ClassVar[Literal["epoch", "batch"]] = "batch"

    end_factor: float = bb.param(0.0, "the rate after the last batch, as a fraction of the first", ge=0, le=1)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.LambdaLR` over all batches.

        :class:`torch.optim.lr_scheduler.LinearLR` computes each rate from the one before, and rounding may take it
        below zero.
        """
        num_steps = num_epochs * steps_per_epoch
        return LambdaLR(optimizer, lambda step: 1 + (self.end_factor - 1) * min(1.0, step / num_steps))


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the linear rule."""
    return [Linear]
