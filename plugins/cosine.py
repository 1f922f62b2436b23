"""A learning rate that falls along half a cosine: I. Loshchilov and F. Hutter, "SGDR", 2017, without restarts."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import benchbench as bb


class Cosine(bb.Scheduler, name="cosine", revision=2):
    """The learning rate decays from its start to ``min_lr`` over the trial; updated after every batch.

    If the optimizer has several rates, the highest falls to ``min_lr`` and the others by the same factor. If that one
    starts below ``min_lr``, no rate changes.
    """

    step_every: ClassVar[Literal["epoch", "batch"]] = "batch"

    min_lr: float = bb.param(0.0, "learning rate at the end", ge=0)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.LambdaLR` over all batches.

        :class:`torch.optim.lr_scheduler.CosineAnnealingLR` has one final rate for all groups of parameters, to which
        those with a lower rate would rise.
        """
        num_steps = num_epochs * steps_per_epoch
        highest = max(float(group["lr"]) for group in optimizer.param_groups)
        end_factor = min(1.0, self.min_lr / highest) if highest else 1.0

        def factor(step: int) -> float:
            return end_factor + (1 - end_factor) * (1 + math.cos(math.pi * min(1.0, step / num_steps))) / 2

        return LambdaLR(optimizer, factor)


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the cosine rule."""
    return [Cosine]
