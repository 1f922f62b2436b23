"""Which schedulers can be stepped with a metric, and which without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, ReduceLROnPlateau, SequentialLR, StepLR

import benchbench as bb
from benchbench.errors import PluginError
from benchbench.worker.schedule import check_step

if TYPE_CHECKING:
    from torch.optim import Optimizer


class Measured(bb.Scheduler, name="measured"):
    metric: ClassVar[str | None] = "val_loss"


class Unmeasured(bb.Scheduler, name="unmeasured"):
    pass


class OwnPlateau(LRScheduler):
    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer  # torch's own would take a first step

    def step(self, loss: float) -> None:  # type: ignore[override]
        pass


class Either(LRScheduler):
    def step(self, loss: float | None = None) -> None:  # type: ignore[override]
        pass


class PassesOn(ReduceLROnPlateau):
    def step(self, *arguments: Any, **named: Any) -> None:
        super().step(*arguments, **named)


class PassesOnSteps(StepLR):
    def step(self, *arguments: Any, **named: Any) -> None:
        super().step(*arguments, **named)


class Counted(LRScheduler):
    def step(self, epoch: int) -> None:  # type: ignore[override]
        self.last_epoch = epoch

    def _initial_step(self) -> None:
        """Do nothing, since :meth:`step` needs an epoch."""


class MeasuresItself(ReduceLROnPlateau):
    def step(self) -> None:  # type: ignore[override]
        super().step(1.0)


def of_two(optimizer: Optimizer) -> SequentialLR:
    return SequentialLR(optimizer, [ConstantLR(optimizer), ConstantLR(optimizer)], milestones=[1])


def one_step(optimizer: Optimizer) -> StepLR:
    return StepLR(optimizer, 1)


def passed_on_steps(optimizer: Optimizer) -> StepLR:
    return PassesOnSteps(optimizer, 1)


def optimizer() -> Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)


@pytest.mark.parametrize("make", [ReduceLROnPlateau, OwnPlateau, Either, PassesOn])
def test_schedulers_that_take_a_metric_can_have_one(make: Any) -> None:
    check_step(make(optimizer()), Measured())


@pytest.mark.parametrize("make", [one_step, of_two, passed_on_steps, Either, MeasuresItself])
def test_schedulers_that_need_no_metric_can_be_without(make: Any) -> None:
    check_step(make(optimizer()), Unmeasured())


@pytest.mark.parametrize("make", [ReduceLROnPlateau, OwnPlateau, PassesOn])
def test_a_scheduler_that_needs_a_metric_and_has_none_is_refused(make: Any) -> None:
    with pytest.raises(PluginError, match=r"its step\(\) needs a value, and its metric is None"):
        check_step(make(optimizer()), Unmeasured())


@pytest.mark.parametrize("make", [one_step, of_two, passed_on_steps, MeasuresItself])
def test_a_metric_that_a_scheduler_cannot_take_is_refused(make: Any) -> None:
    with pytest.raises(PluginError, match=r"its metric is 'val_loss', and step\(\) of \w+ takes no metric"):
        check_step(make(optimizer()), Measured())


@pytest.mark.parametrize("plugin", [Measured(), Unmeasured()])
def test_a_step_that_needs_the_epoch_is_refused_with_the_way_out(plugin: bb.Scheduler) -> None:
    with pytest.raises(PluginError, match="needs the number of the epoch") as caught:
        check_step(Counted(optimizer()), plugin)
    assert caught.value.hint == "give epoch the default None"
