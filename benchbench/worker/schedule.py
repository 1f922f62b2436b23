"""The learning rate: a scheduler, when it is stepped, and the warm-up."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from benchbench.plugin.failures import failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from benchbench.plugin.scheduler import Scheduler
    from benchbench.records.events import Epoch


class WarmUp:
    """A factor of the learning rate that rises linearly to 1 over the first ``num_steps`` steps.

    P. Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2. The factor holds during a step only, so that
    schedulers, many of which compute a rate from the one before, never see it.
    """

    def __init__(self, num_steps: int = 0) -> None:
        self._num_steps = num_steps
        self._num_taken = 0

    @property
    def factor(self) -> float:
        """What the rate of the next step is multiplied by."""
        return min(1.0, (self._num_taken + 1) / self._num_steps) if self._num_steps else 1.0

    def go_to(self, num_taken: int) -> None:
        """Go to where the trial is after so many steps."""
        self._num_taken = num_taken

    @contextmanager
    def step(self, optimizer: Optimizer) -> Iterator[None]:
        """Lower the learning rates of all groups while a step is taken in this context."""
        factor = self.factor
        self._num_taken += 1
        if factor == 1:
            yield
            return
        rates = [group["lr"] for group in optimizer.param_groups]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        try:
            yield
        finally:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


@dataclass(frozen=True)
class Schedule:
    """A scheduler, when it is stepped, the epoch metric that it is given, if any, and the warm-up."""

    scheduler: LRScheduler | ReduceLROnPlateau
    step_every: Literal["epoch", "batch"] = "epoch"
    metric: str | None = None
    warm_up: WarmUp = field(default_factory=WarmUp)

    def after_step(self) -> None:
        """Step a scheduler that counts batches."""
        if self.step_every == "batch":
            self.scheduler.step()  # type: ignore[call-arg]

    def after_epoch(self, epoch: Epoch) -> None:
        """Step a scheduler that counts epochs."""
        if self.metric is not None:
            self.scheduler.step(getattr(epoch, self.metric))
        elif self.step_every == "epoch":
            self.scheduler.step()  # type: ignore[call-arg]


def check_step(scheduler: LRScheduler, plugin: Scheduler) -> None:
    """Raise :class:`PluginError` if ``step()`` needs a metric and gets none, or gets one and takes none."""
    signature = _signature_of_step(scheduler)
    first = next(iter(signature.parameters.values()), None)
    if first is not None and first.name == "epoch" and first.default is first.empty:
        problem = "its step() needs the number of the epoch, which it does not get"
        raise failure(plugin, problem, hint="give epoch the default None")
    if plugin.metric is None:
        if not _can_bind(signature):
            problem = "its step() needs a value, and its metric is None"
            raise failure(plugin, problem, hint='such as metric = "val_loss"')
    # The first argument of torch's other schedulers is the number of the epoch to go to.
    elif first is None or first.name == "epoch" or not _can_bind(signature, 0.0):
        problem = f"its metric is {plugin.metric!r}, and step() of {type(scheduler).__name__} takes no metric"
        raise failure(plugin, problem, hint="leave out metric")


def _signature_of_step(scheduler: LRScheduler) -> inspect.Signature:
    """Return the signature of ``step()``, or of the one that it passes its arguments on to if it takes any."""
    steps = (vars(cls)["step"].__get__(scheduler) for cls in type(scheduler).__mro__ if "step" in vars(cls))
    signatures = [inspect.signature(step) for step in steps]
    return next((each for each in signatures if not _takes_any(each)), signatures[0])


def _takes_any(signature: inspect.Signature) -> bool:
    first = next(iter(signature.parameters.values()), None)
    return first is not None and first.kind is first.VAR_POSITIONAL


def _can_bind(signature: inspect.Signature, *arguments: object) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
