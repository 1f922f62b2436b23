"""One deliberately wrong optimizer, scheduler or set of parameters for each check, which that check catches."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytest
import torch
from pydantic import field_validator
from support.check_outcomes import caught
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import benchbench as bb
from benchbench.testing import optimizer, parameters, scheduler
from benchbench.testing.checks_by_kind import plugin_outcomes

if TYPE_CHECKING:
    from benchbench.testing.checking import Check


# Optimizers


class Sgd(bb.Optimizer, name="sgd-test"):
    lr: float = bb.param(0.1, "learning rate")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return self.kind_of()(model.parameters(), lr=self.lr)

    def kind_of(self) -> Any:
        return torch.optim.SGD


class Nothing(Sgd, name="nothing"):
    def build(self, model: nn.Module) -> Any:
        torch.optim.SGD(model.parameters(), lr=self.lr)


class SeedsSteps(Sgd, name="seeds-steps"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        random.seed(1)
        return super().build(model)


class WeightsOnly(Sgd, name="weights-only"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD([weight for weight in model.parameters() if weight.ndim > 1], lr=self.lr)


class StillGroup(Sgd, name="still-group"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        first, *others = model.parameters()
        return torch.optim.SGD([{"params": others}, {"params": [first], "lr": 0.0}], lr=self.lr)


class Uphill(Sgd, name="uphill"):
    def kind_of(self) -> Any:
        return lambda weights, lr: torch.optim.SGD(weights, lr=lr, maximize=True)


class Own(torch.optim.SGD):
    """Divides by the norm of each gradient, with ``least`` added."""

    least = 1e-8

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                weight.data -= group["lr"] * weight.grad / (weight.grad.norm() + self.least)


class Unbounded(Own):
    least = 0.0


class Divides(Sgd, name="divides"):
    def kind_of(self) -> Any:
        return Unbounded


class NeedsAll(Sgd, name="needs-all"):
    def kind_of(self) -> Any:
        return Own


class KeepsOutside(torch.optim.SGD):
    """Steps that get smaller, by a count that is no part of the state."""

    calls = 0

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.calls
        return super().step(closure)


class ForgetsCount(Sgd, name="forgets-count"):
    def kind_of(self) -> Any:
        return KeepsOutside


class KeepsAnObject(Sgd, name="keeps-an-object"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        optimizer = super().build(model)
        optimizer.param_groups[0]["plugin"] = self
        return optimizer


class FixedForBiases(torch.optim.SGD):
    """Steps of biases have the rate that it was built with."""

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    rate = group["lr"] if weight.ndim > 1 else self.defaults["lr"]
                    weight.data -= rate * weight.grad


class IgnoresRates(Sgd, name="ignores-rates"):
    def kind_of(self) -> Any:
        return FixedForBiases


WRONG_OPTIMIZERS = [
    (KeepsAnObject(), "state", "its state cannot be loaded from a checkpoint"),
    (Nothing(), "builds", "build() returns nothing; is a return statement missing?"),
    (SeedsSteps(), "seeds nothing", "build() seeds the global generator of random"),
    (WeightsOnly(), "groups", "no group has 0.bias, 2.bias"),
    (StillGroup(), "steps", "a step does not change 0.weight"),
    (Uphill(), "lowers the loss", "30 steps do not lower the loss"),
    (Divides(), "finite", "gradients of zero make 0.weight"),
    (NeedsAll(), "missing gradients", "a step fails if a parameter has no gradient"),
    (IgnoresRates(), "learning rate", "with a tenth of the learning rate, steps change 0.bias, 2.bias as much"),
    (ForgetsCount(), "state", "with its state saved and loaded, the next step changes 0.weight differently"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_OPTIMIZERS)
def test_a_wrong_optimizer_is_caught(plugin: bb.Optimizer, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


# Schedulers


class Rates(bb.Scheduler, name="rates"):
    """Multiplies the learning rate by ``factor``."""

    def build(self, optimizer: torch.optim.Optimizer, *, num_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: self.factor(step, num_epochs, steps_per_epoch))

    def factor(self, step: int, num_epochs: int, steps_per_epoch: int) -> float:
        return 1.0


class BadMetric(Rates, name="bad-metric"):
    metric: ClassVar[str | None] = "validation_loss"


class MetricOfABatch(Rates, name="metric-of-a-batch"):
    metric: ClassVar[str | None] = "val_loss"
    step_every: ClassVar[Literal["epoch", "batch"]] = "batch"

    def build(self, optimizer: torch.optim.Optimizer, **numbers: int) -> LRScheduler:
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)


class MetricOfALambda(Rates, name="metric-of-a-lambda"):
    metric: ClassVar[str | None] = "val_loss"


class PlateauOfNothing(MetricOfABatch, name="plateau-of-nothing"):
    metric: ClassVar[str | None] = None


class BadTime(Rates, name="bad-time"):
    step_every: ClassVar[Literal["epoch", "batch"]] = "step"  # type: ignore[assignment]


class OtherOptimizer(Rates, name="other-optimizer"):
    def build(self, optimizer: torch.optim.Optimizer, **numbers: int) -> LRScheduler:
        return LambdaLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), lambda _: 1.0)


class SeedsRates(Rates, name="seeds-rates"):
    def build(self, optimizer: torch.optim.Optimizer, **numbers: int) -> LRScheduler:
        torch.manual_seed(1)
        return super().build(optimizer, **numbers)


class Below(Rates, name="below"):
    def factor(self, step: int, num_epochs: int, steps_per_epoch: int) -> float:
        return 1.0 - step


class OneGroup(Rates, name="one-group"):
    def build(self, optimizer: torch.optim.Optimizer, **numbers: int) -> LRScheduler:
        return LambdaLR(optimizer, [lambda step: 1 / (1 + step), *[lambda _: 1.0] * (len(optimizer.param_groups) - 1)])


class DividesByZero(Rates, name="divides-by-zero"):
    def factor(self, step: int, num_epochs: int, steps_per_epoch: int) -> float:
        return 1 + math.sin(step) / (num_epochs - 1)


class CountsCalls(Rates, name="counts-calls"):
    def build(self, optimizer: torch.optim.Optimizer, **numbers: int) -> LRScheduler:
        calls = itertools.count(1)
        return LambdaLR(optimizer, [lambda _: 1 / next(calls)] * len(optimizer.param_groups))


class SaysThatItDoesNot(Rates, name="says-that-it-does-not"):
    depends_on_length: ClassVar[bool] = False

    def factor(self, step: int, num_epochs: int, steps_per_epoch: int) -> float:
        return 1 - step / num_epochs


class CountsBatches(Rates, name="counts-batches"):
    def factor(self, step: int, num_epochs: int, steps_per_epoch: int) -> float:
        return 1 - step / (num_epochs * steps_per_epoch)


WRONG_SCHEDULERS = [
    (SaysThatItDoesNot(), "first epochs", "in a trial of twice as many epochs it gives"),
    (BadTime(), "step every", "step_every is 'step'"),
    (BadMetric(), "step every", "metric 'validation_loss' is not measured after every epoch"),
    (MetricOfABatch(), "step every", "metric 'val_loss' is measured after an epoch, and step_every is 'batch'"),
    (MetricOfALambda(), "builds", "its metric is 'val_loss', and step() of LambdaLR takes no metric"),
    (PlateauOfNothing(), "builds", "its step() needs a value, and its metric is None"),
    (OtherOptimizer(), "builds", "its optimizer is not the one that build() was given"),
    (SeedsRates(), "seeds nothing", "build() seeds the global generator of torch"),
    (Below(), "learning rates", "unusable learning rates"),
    (OneGroup(), "every group", "it changes the learning rate of one group and not of another"),
    (DividesByZero(), "short trial", "ZeroDivisionError"),
    (CountsBatches(), "batches of an epoch", "with twice as many batches in an epoch it gives"),
    (CountsCalls(), "state", "resumed after 2 steps"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_SCHEDULERS)
def test_a_wrong_scheduler_is_caught(plugin: bb.Scheduler, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


# Parameters


class Changeable(Sgd, name="changeable"):
    layers: list[int] = bb.param([1], "a list, which can change")


class NoDefault(Sgd, name="no-default"):
    width: int


class GrowsInJson(Sgd, name="grows"):
    width: int = bb.param(1, "grows each time that it is read")

    @field_validator("width")
    @classmethod
    def _grow(cls, value: int) -> int:
        return value + 1


class NoneInside(Sgd, name="none-inside"):
    sizes: tuple[int | None, ...] = bb.param((None, 3), "None inside a tuple")


WRONG_PARAMETERS = [
    (Changeable(), "fixed parameters", "its parameters must be values that never change"),
    (NoDefault(width=1), "default parameters", "no default for width"),
    (GrowsInJson(), "parameters as JSON", "its parameters change when written as JSON and read back"),
    (NoneInside(), "parameters as TOML", "its parameters cannot be written as TOML"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_PARAMETERS)
def test_wrong_parameters_are_caught(plugin: bb.Optimizer, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


@pytest.mark.parametrize("plugin", [Sgd(), Rates()], ids=lambda plugin: plugin.name)
def test_the_plugins_that_the_wrong_ones_are_made_of_are_well(plugin: Any) -> None:
    assert [outcome for outcome in plugin_outcomes(plugin) if outcome.result != "passed"] == []


@pytest.mark.parametrize(
    ("checks", "wrong"),
    [
        (optimizer.CHECKS, WRONG_OPTIMIZERS),
        (scheduler.CHECKS, WRONG_SCHEDULERS),
        (parameters.CHECKS, WRONG_PARAMETERS),
    ],
)
def test_every_check_has_a_wrong_plugin(checks: tuple[Check[Any], ...], wrong: list[tuple[Any, str, str]]) -> None:
    assert {check.name for check in checks} == {name for _, name, _ in wrong}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    class Worst(Sgd, name="worst"):
        lr: float = bb.param(0.0, "learning rate")

        def build(self, model: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.SGD([weight for weight in model.parameters() if weight.ndim > 1], lr=self.lr)

    with pytest.raises(AssertionError) as error:
        optimizer.check_optimizer(Worst())
    text = str(error.value)
    assert text.startswith("optimizer worst fails 2 checks:")
    assert "groups: no group has 0.bias, 2.bias" in text
    assert "steps: a step changes no parameter" in text
    assert text.count("fix: ") == 2
