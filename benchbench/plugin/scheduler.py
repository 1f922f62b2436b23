"""The base class of schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from benchbench.plugin.base import Plugin, param

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class Scheduler(Plugin):
    """A rule that changes the learning rate during training.

    The training loop warms up: over the first ``warmup_epochs``, whatever rate the rule gives is multiplied by a factor
    that rises linearly to 1, batch by batch. The rule itself is unaffected, so every scheduler can have a warm-up.
    """

    kind: ClassVar[str] = "scheduler"
    step_every: ClassVar[Literal["epoch", "batch"]] = "epoch"
    metric: ClassVar[str | None] = None
    """The epoch metric that ``step()`` is given, such as ``val_loss`` for a plateau rule."""

    depends_on_length: ClassVar[bool] = True
    """Whether ``num_epochs`` changes the rates. If not, a finished trial can be continued with more epochs."""

    warmup_epochs: float = param(0.0, "epochs of linear warm-up of the learning rate", ge=0)

    def build(
        self, optimizer: TorchOptimizer, *, num_epochs: int, steps_per_epoch: int
    ) -> LRScheduler | ReduceLROnPlateau:
        """Return a torch scheduler. It is stepped after every epoch or batch, as ``step_every`` says."""
        raise NotImplementedError
