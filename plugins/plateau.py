"""A learning rate that falls when the validation loss no longer does."""

from __future__ import annotations

from typing import ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

import benchbench as bb


class Plateau(bb.Scheduler, name="plateau"):
    """The learning rate is multiplied by ``factor`` if the validation loss has not improved for some epochs."""

    depends_on_length: ClassVar[bool] = False

    metric: ClassVar[str | None] = "val_loss"

    factor: float = bb.param(0.1, "factor by which the learning rate is multiplied", gt=0, lt=1)
    patience: int = bb.param(5, "epochs without improvement before that", ge=0)
    threshold: float = bb.param(0.0001, "fraction by which the loss must fall to count as an improvement", ge=0, lt=1)
    cooldown: int = bb.param(0, "epochs after that in which nothing is counted", ge=0)
    min_lr: float = bb.param(0.0, "lowest learning rate", ge=0)

    def build(self, optimizer: Optimizer, *, num_epochs: int, steps_per_epoch: int) -> ReduceLROnPlateau:
        """Return :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`."""
        return ReduceLROnPlateau(
            optimizer,
            factor=self.factor,
            patience=self.patience,
            threshold=self.threshold,
            cooldown=self.cooldown,
            min_lr=self.min_lr,
        )


@bb.hookimpl
def benchbench_schedulers() -> list[type[bb.Scheduler]]:
    """Offer the plateau rule."""
    return [Plateau]
