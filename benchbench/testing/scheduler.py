"""Checks of a scheduler: the learning rates of a whole trial, and of one that is resumed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from benchbench.plugin.failures import check_returned, failures_named
from benchbench.records.metrics import OF_AN_EPOCH
from benchbench.testing import parameters
from benchbench.testing.checking import check, outcomes, raise_failures, require
from benchbench.testing.generators import require_unseeded
from benchbench.testing.saved import saved_and_loaded
from benchbench.worker.schedule import check_step
from benchbench.worker.seeds import random_states_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.plugin.scheduler import Scheduler
    from benchbench.protocol.plugin_check_messages import CheckOutcome

NUM_EPOCHS, STEPS_PER_EPOCH = 4, 3
RATES = (1.0, 0.1)
"""Learning rates of the two groups that a scheduler is tried on."""


class Schedule:
    """A scheduler with an optimizer of two groups."""

    def __init__(
        self, plugin: Scheduler, *, num_epochs: int = NUM_EPOCHS, steps_per_epoch: int = STEPS_PER_EPOCH
    ) -> None:
        self._uses_metric = plugin.metric is not None
        weights = [nn.Parameter(torch.ones(1)) for _ in RATES]
        for weight in weights:
            weight.grad = torch.ones(1)
        pairs = zip(weights, RATES, strict=True)
        self.optimizer = torch.optim.SGD([{"params": [weight], "lr": rate} for weight, rate in pairs], momentum=0.9)
        with failures_named(plugin, method="build"):
            built = plugin.build(self.optimizer, num_epochs=num_epochs, steps_per_epoch=steps_per_epoch)
        self.scheduler = check_returned(built, LRScheduler, plugin=plugin, function=plugin.build)
        self.num_steps = num_epochs * (steps_per_epoch if plugin.step_every == "batch" else 1)
        self._step: Callable[..., None] = self.scheduler.step

    def step(self) -> tuple[float, ...]:
        """Take one step, with a metric that never gets better, and return the learning rates after it."""
        self.optimizer.step()
        self._step(1.0) if self._uses_metric else self._step()
        return tuple(float(group["lr"]) for group in self.optimizer.param_groups)

    def steps(self, num_steps: int) -> list[tuple[float, ...]]:
        """Take so many steps."""
        return [self.step() for _ in range(num_steps)]

    def load(self, other: Schedule) -> None:
        """Continue from the state of another one."""
        self.optimizer.load_state_dict(saved_and_loaded(other.optimizer.state_dict()))
        self.scheduler.load_state_dict(saved_and_loaded(other.scheduler.state_dict()))


@check()
def step_every(plugin: Scheduler) -> None:
    """Check that ``step_every`` and ``metric`` say when it is stepped, and with what."""
    is_known = plugin.step_every in ("epoch", "batch")
    require(is_known, f"step_every is {plugin.step_every!r}", fix='step_every is "epoch" or "batch"')
    problem = f"metric {plugin.metric!r} is not measured after every epoch"
    require(plugin.metric is None or plugin.metric in OF_AN_EPOCH, problem, fix=f"one of {', '.join(OF_AN_EPOCH)}")
    problem = f"metric {plugin.metric!r} is measured after an epoch, and step_every is 'batch'"
    require(plugin.metric is None or plugin.step_every == "epoch", problem, fix='leave out step_every = "batch"')


@check()
def builds(plugin: Scheduler) -> None:
    """Check that ``build`` returns a torch scheduler of its optimizer, whose ``step`` takes the metric, if any."""
    schedule = Schedule(plugin)
    check_step(schedule.scheduler, plugin)
    is_own = getattr(schedule.scheduler, "optimizer", None) is schedule.optimizer
    require(is_own, "its optimizer is not the one that build() was given", fix="pass on the argument optimizer")


@check(needs=(builds,))
def seeds_nothing(plugin: Scheduler) -> None:
    """Check that ``build`` seeds no global generator: dropout depends on the seed of the trial."""
    require_unseeded(lambda _: Schedule(plugin))


@check(needs=(step_every, builds))
def learning_rates(plugin: Scheduler) -> None:
    """Check that the learning rates of a whole trial are numbers that a step can be taken with."""
    schedule = Schedule(plugin)
    rates = [rate for step in schedule.steps(schedule.num_steps) for rate in step]
    is_usable = all(math.isfinite(rate) and rate >= 0 for rate in rates)
    require(is_usable, f"unusable learning rates: {rates}", fix="a rate is finite and not below zero")


@check(needs=(learning_rates,))
def every_group(plugin: Scheduler) -> None:
    """Check that groups keep the ratio of their learning rates, or all of them change."""
    schedule = Schedule(plugin)
    steps = [RATES, *schedule.steps(schedule.num_steps)]
    changed = [len({step[group] for step in steps}) > 1 for group in range(len(RATES))]
    problem = "it changes the learning rate of one group and not of another"
    require(len(set(changed)) == 1, problem, fix="go through all optimizer.param_groups")


@check(needs=(builds,))
def short_trial(plugin: Scheduler) -> None:
    """Check that a trial of one epoch with one batch works too."""
    schedule = Schedule(plugin, num_epochs=1, steps_per_epoch=1)
    (rates,) = schedule.steps(1)
    problem = f"a trial of one epoch with one batch has the learning rates {rates}"
    require(all(map(math.isfinite, rates)), problem, fix="divide by max(1, number)")


@check(needs=(learning_rates,))
def first_epochs(plugin: Scheduler) -> None:
    """Check that the first epochs are the same however many follow, if ``depends_on_length`` says so."""
    if plugin.depends_on_length:
        return
    short, long = Schedule(plugin), Schedule(plugin, num_epochs=2 * NUM_EPOCHS)
    rates, again = short.steps(short.num_steps), long.steps(short.num_steps)
    problem = f"in a trial of twice as many epochs it gives {_first(again)} instead of {_first(rates)}"
    require(again == rates, problem, fix="depends_on_length = True, the default: a trial with more epochs starts over")


@check(needs=(learning_rates,))
def batches_of_an_epoch(plugin: Scheduler) -> None:
    """Check that a rule that is stepped after every epoch does not depend on how many batches an epoch has."""
    if plugin.step_every == "batch":
        return
    few, many = Schedule(plugin), Schedule(plugin, steps_per_epoch=2 * STEPS_PER_EPOCH)
    rates, again = few.steps(few.num_steps), many.steps(many.num_steps)
    problem = f"with twice as many batches in an epoch it gives {_first(again)} instead of {_first(rates)}"
    fix = 'step_every = "batch", if it counts batches: without that, it is stepped after every epoch'
    require(again == rates, problem, fix=fix)


@check(needs=(learning_rates,))
def state(plugin: Scheduler) -> None:
    """Check that its state can be saved and loaded like a checkpoint, and the learning rates are then the same."""
    whole = Schedule(plugin)
    rates = whole.steps(whole.num_steps)
    half = whole.num_steps // 2
    begun, resumed = Schedule(plugin), Schedule(plugin)
    again = begun.steps(half)
    resumed.load(begun)
    again += resumed.steps(whole.num_steps - half)
    problem = f"resumed after {half} steps, it gives {_first(again)} instead of {_first(rates)}"
    require(again == rates, problem, fix="keep all that a rate depends on in state_dict(), such as last_epoch")


def _first(rates: list[tuple[float, ...]]) -> list[float]:
    """Return the learning rates of the first group."""
    return [step[0] for step in rates]


CHECKS = (
    step_every,
    builds,
    seeds_nothing,
    learning_rates,
    every_group,
    short_trial,
    first_epochs,
    batches_of_an_epoch,
    state,
)


def scheduler_outcomes(scheduler: Scheduler) -> Iterator[CheckOutcome]:
    """Yield what each check of a scheduler comes to."""
    yield from outcomes(parameters.CHECKS, scheduler, scheduler)
    with random_states_kept(torch.device("cpu")):
        yield from outcomes(CHECKS, scheduler, scheduler)


def check_scheduler(scheduler: Scheduler) -> None:
    """Check the learning rates of a whole trial, and that a resumed trial has the same.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"scheduler {scheduler.name}", scheduler_outcomes(scheduler))
