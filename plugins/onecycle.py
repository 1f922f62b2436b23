"""One cycle: L. Smith and N. Topin, "Super-Convergence", 2018."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

import benchbench as bb

LOWEST_MOMENTUM = 0.85 / 0.95
"""At the highest rate, as a fraction of the optimizer's; from 0.95 to 0.85 as in torch's own defaults."""


class OneCycle(bb.Scheduler, name="onecycle", revision=2):
    """The learning rate rises to the optimizer's rate, then decays to nearly zero; updated after every batch."""

    step_every: ClassVar[Literal["epoch", "batch"]] = "batch"

    pct_start: float = bb.param(0.3, "fraction of the trial in which the rate rises", gt=0, lt=1)
    div_factor: float = bb.param(25.0, "the first rate is the optimizer's divided by this", ge=1)
    final_div_factor: float = bb.param(10_000.0, "the last rate is the first divided by this", ge=1)
    anneal: Literal["cos", "linear"] = bb.param("cos", "shape of the rise and of the fall")
    cycle_momentum: bool = bb.param(
        False, "lower the optimizer's momentum, or its first beta, by a tenth while the rate is high"
    )

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        """Return :class:`torch.optim.lr_scheduler.OneCycleLR` over all batches."""
        momenta = [_momentum(group) for group in optimizer.param_groups]
        # Torch looks for the momentum among the defaults as well; an optimizer made of several has none.
        has_momentum = all(momenta) and not {"momentum", "betas"}.isdisjoint(optimizer.defaults)
        if self.cycle_momentum and not has_momentum:
            raise bb.SpecError(
                "onecycle: the optimizer has no momentum to cycle", hint="--set scheduler.cycle_momentum=false"
            )
        total_steps = num_epochs * steps_per_epoch
        # Torch divides by zero if the rate rises in the first step alone.
        rises_at_once = self.pct_start * total_steps == 1
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=total_steps,
            pct_start=self.pct_start * (1 + 1e-9) if rises_at_once else self.pct_start,
            div_factor=self.div_factor,
            final_div_factor=self.final_div_factor,
            anneal_strategy=self.anneal,
            cycle_momentum=self.cycle_momentum,
            max_momentum=momenta,
            base_momentum=[LOWEST_MOMENTUM * momentum for momentum in momenta],
        )


def _momentum(group: dict[str, Any]) -> float:
    """Return what torch cycles: the first beta if there are betas, else the momentum; 0 if there is neither."""
    return float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the one-cycle rule."""
    return [OneCycle]
