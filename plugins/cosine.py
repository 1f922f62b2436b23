"""A learning rate that falls along half a cosine: I. Loshchilov and F. Hutter, "SGDR", 2017, without restarts."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

import benchbench as bb


class Cosine(bb.Scheduler, name="cosine"):
    """The learning rate falls from its start to ``min_lr`` over the trial, a little after every batch."""

    step_every: ClassVar[Literal["epoch", "batch"]] = "batch"

    min_lr: float = bb.param(0.0, "learning rate at the end", ge=0)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.CosineAnnealingLR` over all batches."""
        return CosineAnnealingLR(optimizer, T_max=num_epochs * steps_per_epoch, eta_min=self.min_lr)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the cosine rule."""
    return [Cosine]
